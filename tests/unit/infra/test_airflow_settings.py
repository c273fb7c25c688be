"""The settings that every component of the production stack shares, held against the installed Airflow and our DAGs."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from celery_stack import read_env_file
from plugins.assets import DEFAULT_ARGS

