"""What needs Airflow of several workers: one stack, and one run in which a worker is killed, for all modules here."""
