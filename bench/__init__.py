"""What Quartet claims about speed, measured. ``make bench`` runs all of it and writes ``bench/results/<name>.json``."""
