"""What runs Quartet: the local stack, and Airflow's configuration."""
