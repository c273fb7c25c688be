"""What Airflow loads: the assets that connect the DAGs, and what all DAGs share."""
