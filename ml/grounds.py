"""What a promotion rests on: the gate's word, a person's approval of it, or a person's own decision."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ml import layout
from ml.approval import find_approval, require_cleared
from ml.errors import DataError
from ml.orders import find_order
from ml.storage import dump_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml.approval import Approval, Decided
    from ml.context import Context
    from ml.orders import Order

__all__ = ["Grounds", "require_grounds", "require_same_grounds"]


class Grounds(NamedTuple):
    """The approval that was given or refused, and a person's own decision to promote; None for none."""

    approval: Approval | None = None
    order: Order | None = None

    @property
    def by(self) -> str:
        """Who decided."""
        if self.order is not None:
            return self.order.by
        answer = self.approval.answer if self.approval else None
        return answer.by if answer and answer.by else "gate"

    @property
    def documents(self) -> dict[str, bytes]:
        """What travels with the published version, by name."""
        found = {}
        if self.approval is not None:
            found[layout.APPROVAL] = dump_json(self.approval.to_dict())
        if self.order is not None:
            found[layout.ORDER] = self.order.dump()
        return found

    @property
    def evidence(self) -> dict[str, Any]:
        """What the record of what serves keeps."""
        found: dict[str, Any] = {}
        if self.approval is not None and self.approval.answer is not None:
            found["approval"] = self.approval.to_dict()["answer"]
        if self.order is not None:
            found["order"] = self.order.to_dict()
        return found

    @property
    def tags(self) -> dict[str, str]:
        """Who decided what and when, as tags of the version; none where nobody was asked."""
        found: dict[str, str | None] = {}
        answer = self.approval.answer if self.approval else None
        if answer is not None and answer.approved:
            found |= {"approved_by": answer.by, "approved_by_id": answer.by_id, "approved_at": answer.at}
        if self.order is not None:
            found |= {"promoted_by": self.order.by, "promoted_at": self.order.at}
            found |= {"promotion_reason": self.order.reason}
            found |= {"against_the_gate": self.order.grounds if self.order.against_the_gate else None}
        return {name: value for name, value in found.items() if value is not None}


def require_grounds(context: Context, run_id: str, decided: Decided) -> Grounds:
    """What the promotion of a run's winner rests on.

    A person's own decision needs no approval, and stands until somebody rejects the winner after it.

    Raises:
        DataError: the gate rejected the run, a person did, or one has yet to answer.
    """
    order, approval = find_order(context.store, run_id, decided), find_approval(context.store, run_id, decided)
    if order is not None and not _rejected_since(order, approval):
        return Grounds(approval if approval and approval.answer else None, order)
    require_cleared(run_id, decided)
    if approval is not None and approval.approved:
        return Grounds(approval)
    remedy = f"Answer in Airflow, clear `approve` there to be asked again, or run `quartet approve {run_id} --by NAME`."
    if approval is not None and approval.answer is not None:
        raise DataError(f"Run {run_id} was not approved: {approval}", remedy)
    if context.settings.gate.approval is not None:
        raise DataError(f"Run {run_id} waits for a person's approval (`gate.approval`).", remedy)
    return Grounds()


def require_same_grounds(publication: Mapping[str, Any], grounds: Grounds) -> None:
    """Refuse a version that was published before the person's decision which it is to be promoted by.

    Args:
        publication: as :func:`ml.steps.publish.load_publication` gives it.
        grounds: of today.

    Raises:
        DataError: the version does not carry that decision.
    """
    if publication.get("order") != (grounds.order.id if grounds.order else None):
        raise DataError(
            f"Version {publication['version']} of run {publication['run_id']} was published before somebody decided "
            f"otherwise: {grounds.order or 'the decision to promote it does not hold any more'}",
            "Run `publish` of this run again.",
        )


def _rejected_since(order: Order, approval: Approval | None) -> bool:
    answer = approval.answer if approval else None
    if answer is None or answer.approved:
        return False
    return datetime.fromisoformat(answer.at) > datetime.fromisoformat(order.at)
