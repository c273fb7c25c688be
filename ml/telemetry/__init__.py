"""Data and model quality as Prometheus metrics, read from the store when they are asked for.

It imports neither TensorFlow nor Airflow nor a library for tables. :data:`ml.telemetry.families.FAMILIES` declares what
is exposed, and ``docs/metrics.md`` explains it.
"""

from ml.telemetry.collector import StoreCollector
from ml.telemetry.families import FAMILIES
from ml.telemetry.server import telemetry_port

__all__ = ["FAMILIES", "StoreCollector", "telemetry_port"]
