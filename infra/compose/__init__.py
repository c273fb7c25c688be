"""What the containers of docker-compose.yaml run beside Quartet itself, and the secrets that they are given."""
