"""Quartet's pages in Airflow's web server."""
