"""What every section of the settings is."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Fraction", "Section"]

Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """Frozen; refuses unknown keys."""

    # Pydantic's own text would quote a whole section, secrets included; `load_settings` names what may be named.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
