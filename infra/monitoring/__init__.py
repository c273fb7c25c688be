"""What Prometheus and Grafana are given, and a check that every panel has data."""
