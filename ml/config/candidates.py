"""What can be set about who competes in a run."""

from __future__ import annotations

from pydantic import Field, model_validator

from ml.config.base import Section

__all__ = ["CandidateSettings"]


class CandidateSettings(Section):
    """Who competes in a run beside a head with attention for each variant."""

    ablation: bool = Field(
        False, description="also train a head without attention for each variant, to show what attention is worth"
    )
    promote_ablation: bool = Field(False, description="let a head without attention win; otherwise it is only shown")
    ensemble: bool = Field(
        False, description="also let the variants vote together; answers as slowly as its members one after the other"
    )
    ensemble_size: int = Field(3, ge=2, description="most members of an ensemble")

    @model_validator(mode="after")
    def _ablation_is_trained(self) -> CandidateSettings:
        if self.promote_ablation and not self.ablation:
            raise ValueError("promote_ablation needs ablation: true, since no head without attention is trained")
        return self
