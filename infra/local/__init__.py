"""Airflow and the model server on one machine, without containers: what ``make up`` and ``make demo`` run."""
