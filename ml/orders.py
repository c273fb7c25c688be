"""A person's decision to promote the winner of a past run: who, why, and what of the gate it goes against."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from ml import layout
from ml.storage import dump_json, find_json

if TYPE_CHECKING:
    from ml.approval import Decided
    from ml.storage import Store

__all__ = ["Order", "PromotionRequest", "find_order", "store_order"]

Through = Literal["Airflow", "command line"]


@dataclass(frozen=True)
class PromotionRequest:
    """Who wants which run's winner in production, and why.

    Attributes:
        run_id: of a `retrain` run, as Airflow or as the store spells it.
        reason: why, for people.
        by: who decides.
        id: of whoever may ask again after having been killed; what is on record under it is gone on with.
        against_the_gate: promote it although the gate rejected it, or compared it with another champion.
        through: where it is asked; Airflow knows who somebody is, the command line believes it.
    """

    run_id: str
    reason: str
    by: str
    id: str
    against_the_gate: bool = False
    through: Through = "Airflow"


@dataclass(frozen=True)
class Order:
    """A person's decision, bound to one decision of the gate and to one champion.

    Attributes:
        run_id: the run.
        variant: its winner.
        decision_sha256: of the bytes of the ``decision.json`` that the person knew.
        id: of the request.
        by: the person's name.
        reason: why, for people.
        at: when, in ISO 8601.
        through: where it was decided.
        compared: the version that the gate compared the winner with; None for none.
        champion: the version in production when it was decided, and the only one that the winner may replace.
        missed: the rules of the gate that the winner missed, in words.
        overruled: the rejection of a person before, or of time that had run out, in words.
    """

    run_id: str
    variant: str
    decision_sha256: str
    id: str
    by: str
    reason: str
    at: str
    through: Through
    compared: int | None
    champion: int | None
    missed: tuple[str, ...] = ()
    overruled: str = ""

    @property
    def against_the_gate(self) -> bool:
        """Whether the gate had not cleared the winner for what it replaces."""
        return bool(self.missed) or self.compared != self.champion

    @property
    def grounds(self) -> str:
        """Why, and what it goes against, as the record of what serves has it."""
        said = [f"{'against the gate: ' if self.against_the_gate else ''}{self.reason}"]
        if self.missed:
            said.append(f"rules missed: {'; '.join(self.missed)}")
        if self.compared != self.champion:
            was, now = (f"version {one}" if one is not None else "none" for one in (self.compared, self.champion))
            said.append(f"compared with another champion ({was}) than the one it replaces ({now})")
        if self.overruled:
            said.append(f"overruled: {self.overruled}")
        return ". ".join(f"{part[0].upper()}{part[1:].rstrip('.')}" for part in said) + "."

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Order:
        """From JSON."""
        kept = {name: value for name, value in record.items() if name != "against_the_gate"}
        return cls(**kept | {"missed": tuple(kept["missed"])})

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self) | {"against_the_gate": self.against_the_gate}

    def dump(self) -> bytes:
        """Its bytes as they are stored, the same for the same decision."""
        return dump_json(self.to_dict())

    def __str__(self) -> str:
        """As a page tells it; whether anything came of it is told beside."""
        where = " on the command line" if self.through == "command line" else ""
        when = f"{datetime.fromisoformat(self.at):%Y-%m-%d at %H:%M %Z}"
        return f"{self.by} decided{where} on {when} to promote it. {self.grounds}"


def find_order(store: Store, run_id: str, decided: Decided) -> Order | None:
    """The decision to promote that was made on exactly this decision of the gate; None where there is none."""
    document = find_json(store, layout.run_key(run_id, layout.ORDER))
    order = Order.from_dict(document) if document is not None else None
    return order if order and order.decision_sha256 == decided.sha256 else None


def store_order(store: Store, order: Order) -> None:
    """Keep a decision, in place of any earlier one."""
    store.put(layout.run_key(order.run_id, layout.ORDER), order.dump())
