"""Whether a person may promote the winner of a past run, and what of the gate that goes against."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.approval import Decided, find_approval, load_decision
from ml.errors import DataError, NotFoundError
from ml.gating import SEEN_IN_TRAINING, RuleResult
from ml.leaks import seen_in_training
from ml.plan import load_plan, load_samples, was_fitted_to
from ml.promotions import champion_of, promotion_of
from ml.removed_runs import removed_on
from ml.tombstones import forgotten_ids
from ml.warm_start import trained_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ml.approval import Approval
    from ml.candidates import Contender
    from ml.config import Settings
    from ml.orders import PromotionRequest
    from ml.promotions import Change
    from ml.storage import Store

__all__ = [
    "load_decided",
    "missed_rules",
    "require_answered",
    "require_materials",
    "require_named",
    "require_not_promoted",
    "require_sound",
    "require_yielding",
]


def require_named(request: PromotionRequest, settings: Settings) -> None:
    """Whether somebody decides who may, and says why.

    Raises:
        DataError: nobody is named, there is no reason, or ``gate.approval.approvers`` are others.
    """
    if not request.reason.strip() or not request.by.strip():
        raise DataError("A promotion needs a reason and somebody who decides.", "Give both: they are kept on record.")
    approvers = settings.gate.approval.approvers if settings.gate.approval else ()
    # Whoever may use the command line may write to the store, and so approve anything.
    if approvers and request.through == "Airflow" and request.by not in approvers:
        raise DataError(
            f"{request.by} is not among those who may approve (`gate.approval.approvers`).",
            f"Ask one of them: {', '.join(approvers)}.",
        )


def load_decided(store: Store, run_id: str, at_work: Callable[[str], bool | None] | None) -> Decided:
    """The gate's decision on a run that has ended.

    Args:
        store: with the runs.
        run_id: as Airflow or as the store spells it.
        at_work: says whether a run, by its own id, is still going on; None, it or its answer, where nobody knows.

    Raises:
        DataError: there is no such run, it goes on, or it ended before its gate.
    """
    try:
        own_id = str(load_plan(store, run_id)["run_id"])
    except NotFoundError as error:
        raise _missing(store, run_id) from error
    if removed_on(store, own_id) is not None:
        raise _missing(store, own_id)
    if at_work is not None and at_work(own_id):
        raise _still_at_work(store, own_id)
    try:
        return load_decision(store, own_id)
    except NotFoundError as error:
        raise DataError(
            f"Run {own_id} ended before its gate has decided, so it has no winner.",
            "Clear the task that failed, wait for it, or retrain.",
        ) from error


def _missing(store: Store, run_id: str) -> DataError:
    day = removed_on(store, run_id)
    if day is not None:
        return DataError(f"Run {run_id} was removed by retention on {day}.", "Retrain, or restore it from a backup.")
    return DataError(
        f"There is no run {run_id!r} in {store.url}.", "Name a run of `retrain`, e.g. by the id on its page."
    )


def _still_at_work(store: Store, run_id: str) -> DataError:
    try:
        approval = find_approval(store, run_id, load_decision(store, run_id))
    except NotFoundError:  # before its gate
        approval = None
    if approval is not None and approval.answer is None:
        return DataError(f"Run {run_id} waits for a person's approval right now.", "Answer it there, in Airflow.")
    return DataError(f"Run {run_id} is still at work.", "Wait for its end; it promotes its winner itself if it may.")


def require_answered(run_id: str, approval: Approval | None) -> None:
    """Refuse what may be waiting for a person at this moment, where nobody knows whether it is.

    Raises:
        DataError: somebody was asked and has not answered.
    """
    if approval is not None and approval.answer is None:
        raise DataError(
            f"Run {run_id} waits for a person's approval (`gate.approval`).",
            f"Answer in Airflow, or run `quartet approve {run_id} --by NAME`.",
        )


def require_not_promoted(changes: Sequence[Change], run_id: str, variant: str) -> None:
    """Whether the winner was never promoted.

    Raises:
        DataError: it is in production, or was.
    """
    promoted = promotion_of(changes, run_id, variant)
    if promoted is None:
        return
    champion = champion_of(changes)
    if champion is not None and champion.version == promoted.version:
        raise DataError(f"Run {run_id} is in production already, as version {promoted.version}.", "Nothing is to do.")
    raise DataError(
        f"Run {run_id} was promoted as version {promoted.version}, which does not serve any more.",
        f"Go back to it: the DAG `rollback` with version {promoted.version}, or `quartet rollback {promoted.version}`.",
    )


def require_materials(store: Store, decided: Decided, candidate: Contender) -> None:
    """Whether all that a version is made of is there, and still what the gate has decided on.

    Feature maps are not asked for: a version is made of heads and backbones.

    Raises:
        DataError: something is gone or was changed.
    """
    run_id = candidate.run_id
    for key, digest in decided.document["inputs"].items():
        if hashlib.sha256(_read(store, run_id, key)).hexdigest() != digest:
            raise DataError(
                f"{store.uri(key)} has changed since the gate decided on run {run_id}.",
                "Run `gate` of this run again, and look at what it decides then.",
            )
    needed = [layout.run_key(run_id, candidate.name, "temperature.json")]
    needed += [layout.run_key(one.candidate.run_id, one.candidate.name, "head.weights.h5") for one in candidate.members]
    needed.append(layout.snapshot_key(candidate.snapshot_id, "manifest.parquet"))
    for key in needed:
        if store.head(key) is None:
            raise _gone(store, run_id, key)


def _read(store: Store, run_id: str, key: str) -> bytes:
    try:
        return store.get(key)
    except NotFoundError as error:
        raise _gone(store, run_id, key) from error


def _gone(store: Store, run_id: str, key: str) -> DataError:
    return DataError(
        f"Run {run_id} cannot be promoted any more: {store.uri(key)} is gone.", "Restore it from a backup, or retrain."
    )


def require_sound(store: Store, decided: Decided, candidate: Contender) -> None:
    """What no person can overrule: figures that say nothing, and what was learnt from withdrawn images.

    Raises:
        DataError: the winner has seen test images, has learnt from images that were forgotten since, or has no test
            image left.
    """
    run_id, samples = candidate.run_id, load_samples(store, candidate.run_id)
    forgotten = forgotten_ids(store)
    runs = {one for member in candidate.members for one in trained_in(store, member.candidate)} if forgotten else set()
    for learnt in sorted(one for one in runs if was_fitted_to(store, one, forgotten)):
        raise DataError(
            f"Run {run_id} is not promoted: run {learnt}, in which its weights were fitted, learnt from images that "
            "were forgotten since.",
            "Retrain without them. Nobody can overrule this.",
        )
    in_test = samples["split"] == "test"
    if not in_test.any():
        raise DataError(f"All test images of run {run_id} were forgotten: it cannot be tried.", "Retrain.")
    rule = next((one for one in decided.document["rules"] if one["name"] == SEEN_IN_TRAINING), None)
    seen = int(rule["value"]) if rule else int((seen_in_training(store, candidate, samples) & in_test).sum())
    if seen:
        raise DataError(
            f"Run {run_id} is not promoted: {candidate.name} was trained on {seen} of the test images that it was "
            "measured on, so none of its figures says how good it is.",
            "Retrain. Nobody can overrule this: there is nothing to decide on.",
        )


def missed_rules(document: Mapping[str, Any]) -> tuple[str, ...]:
    """What the winner missed, in words; none of what the gate has cleared."""
    if document["promoted"]:
        return ()
    missed = tuple(str(RuleResult(**rule)) for rule in document["rules"] if not rule["passed"])
    return missed or (str(document["reason"]),)


def require_yielding(run_id: str, missed: Sequence[str], compared: int | None, champion: int | None) -> None:
    """Whether the gate has cleared the winner for what it would replace.

    Args:
        run_id: the run.
        missed: of :func:`missed_rules`.
        compared: version that the gate compared the winner with.
        champion: version in production.

    Raises:
        DataError: it has not.
    """
    if missed:
        raise DataError(
            f"The gate has rejected run {run_id}: {'; '.join(missed)}",
            "Retrain, or promote it against the gate: that is kept on record with your name.",
        )
    if compared != champion:
        was, now = (f"version {one}" if one is not None else "none" for one in (compared, champion))
        raise DataError(
            f"Run {run_id} was compared with another champion ({was}) than today's ({now}).",
            "Retrain, or promote it against the gate: that is kept on record with your name.",
        )
