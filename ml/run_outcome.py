"""What became of a run's winner: the gate's decision, a person's word, the version, its trial and its watch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.approval import find_approval, load_decision
from ml.gating import SEEN_IN_TRAINING
from ml.orders import find_order
from ml.page_parts import RuleView
from ml.storage import find_json
from ml.threads import map_ahead

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml.approval import Approval, Decided
    from ml.orders import Order
    from ml.storage import Store

__all__ = ["RunOutcome", "load_outcome"]


@dataclass(frozen=True)
class RunOutcome:
    """What the steps after `evaluate` left of a run.

    Attributes:
        decided: the gate's decision.
        approval: what a person was asked about exactly this decision; None where nobody was.
        order: a person's own decision to promote the winner, by or against this one; None where there is none.
        publication: as :func:`ml.steps.publish.run` gives it; None where nothing was published.
        trial: as :func:`ml.steps.canary.run` gives it; None where none was held.
        watched: as :func:`ml.steps.watch.run` gives it; None where nothing was watched.
    """

    decided: Decided
    approval: Approval | None = None
    order: Order | None = None
    publication: Mapping[str, Any] | None = None
    trial: Mapping[str, Any] | None = None
    watched: Mapping[str, Any] | None = None

    @property
    def variant(self) -> str:
        """The winner's name."""
        return str(self.decided.document["variant"])

    @property
    def cleared(self) -> bool:
        """Whether the gate let the winner pass."""
        return bool(self.decided.document["promoted"])

    @property
    def rules(self) -> tuple[RuleView, ...]:
        """The gate's rules, one by one."""
        names = ("name", "passed", "measured", "required", "missing")
        return tuple(RuleView(*(rule[name] for name in names)) for rule in self.decided.document["rules"])

    @property
    def sound(self) -> bool:
        """Whether the winner's figures say anything; if not, nobody may promote it."""
        return all(rule.passed for rule in self.rules if rule.name == SEEN_IN_TRAINING)

    @property
    def waits(self) -> bool:
        """Whether a person's answer is waited for."""
        return self.approval is not None and self.approval.answer is None

    @property
    def published(self) -> int | None:
        """The version that the winner was published as."""
        return int(self.publication["version"]) if self.publication else None

    @property
    def taken_back(self) -> bool:
        """Whether the watch went back to the version before."""
        return self.watched is not None and self.watched["rolled_back_to"] is not None

    @property
    def stages(self) -> tuple[str, ...]:
        """Trial and watch, in sentences."""
        said = []
        for found, passed, what in ((self.trial, "passed", "Trial"), (self.watched, "kept", "Watch")):
            if found is not None:
                failed = "" if found[passed] else "failed, "
                said.append(f"{what} of version {found['version']}: {failed}{found['reason']}.")
        if self.watched is not None and self.taken_back:
            said.append(f"Version {self.watched['rolled_back_to']} serves again.")
        return tuple(said)

    @property
    def held_back(self) -> str:
        """Why the winner was not promoted, as far as the run itself tells; nothing where it may yet be."""
        if self.order is None and not self.cleared:
            return str(self.decided.document["reason"])
        if self.order is None and self.approval is not None and not self.approval.approved:
            return str(self.approval)
        if self.trial is not None and not self.trial["passed"]:
            return f"Version {self.trial['version']} did not stand its trial: {self.trial['reason']}."
        return ""


def load_outcome(store: Store, run_id: str) -> RunOutcome:
    """Read what became of a run's winner so far.

    Raises:
        NotFoundError: the gate has not decided.
    """
    decided = load_decision(store, run_id)
    keys = [layout.run_key(run_id, name) for name in (layout.PUBLICATION, layout.CANARY, layout.WATCH)]
    later = map_ahead(partial(find_json, store), keys, 3, "outcome")
    return RunOutcome(decided, find_approval(store, run_id, decided), find_order(store, run_id, decided), *later)
