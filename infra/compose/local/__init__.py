"""Stand-ins for images that come from registries."""
