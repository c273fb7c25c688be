"""Section ``review``: what people are asked to look at again."""

from __future__ import annotations

from pydantic import Field

from ml.config.base import Section

__all__ = ["ReviewSettings"]


class ReviewSettings(Section):
    """What a run asks people to look at again. Nothing of it is changed or left out by itself."""

    label_issues_shown: int = Field(
        24, ge=0, le=200, description="doubtful labels with pictures on the run's page; 0 looks for none"
    )
