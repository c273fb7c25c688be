"""Figures: functions from frames and arrays to ``matplotlib.figure.Figure``, drawn without pyplot."""

from __future__ import annotations
