"""The engine: everything Quartet does with images and models, without Airflow."""

__version__ = "0.1.0"
