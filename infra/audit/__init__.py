"""``make audit``: known vulnerabilities of what is locked, secrets among the files, a list of what is locked."""
