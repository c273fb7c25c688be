"""Retention: what lies in the store longer than ``retention`` says, what of it something still needs, and its removal.

Killed anywhere and done again, it ends the same.
"""

from ml.housekeeping.items import Item
from ml.housekeeping.plan import Plan, plan_removal
from ml.housekeeping.removal import remove

__all__ = ["Item", "Plan", "plan_removal", "remove"]
