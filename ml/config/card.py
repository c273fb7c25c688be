"""Section ``card``: what people must say of a model, since no measure can."""

from __future__ import annotations

from pydantic import Field

from ml.config.base import Section

__all__ = ["CardSettings"]


class CardSettings(Section):
    """What the model card says beside what is measured. What is not set is shown as not stated."""

    owner: str | None = Field(None, description="who answers for the model, and how to reach them")
    intended_use: str | None = Field(None, description="what it is for, and who uses it")
    out_of_scope: str | None = Field(None, description="what it must not be used for")
    provenance: str | None = Field(None, description="where the images come from, and by what right")
    confounders: tuple[str, ...] = Field(
        (), description="what is known to go with a label without meaning it, beside what is found"
    )
    ethics: str | None = Field(None, description="who may be harmed by a wrong answer, and how")
    licence: str | None = Field(None, description="of the model")
