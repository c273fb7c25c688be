"""The forms that start DAGs: what may be chosen, its bounds, and what is meant where nothing is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "VARIANTS_VARIABLE",
    "batch_predict_form",
    "housekeeping_form",
    "ingest_form",
    "monitor_form",
    "overrides_of",
    "promote_form",
    "retrain_form",
    "rollback_form",
    "who_asked",
]

#: Names that the form of `retrain` offers, with commas between them. A variable of the environment, because it is read
#: whenever the DAG file is; the settings have the last word on which variants there are.
VARIANTS_VARIABLE = "QUARTET_VARIANTS"
VARIANTS = "vgg16,vgg19,mobilenet,xception"
#: Fields of `retrain` that no setting stands behind; the others are laid over the settings (`ml.run_settings.CHOICES`).
NO_SETTINGS = {"variants", "snapshot_id", "trials", "force", "reason"}
LONGEST_REASON = 1000
TRAINING, GATE = "Training, for this run only", "Gate, for this run only"


def retrain_form(environ: Mapping[str, str] | None = None) -> dict[str, Param]:
    """Of `retrain`: what to train on, and what to do otherwise than configured."""
    return {
        "variants": _variants(environ),
        "snapshot_id": _text("Snapshot", "Train on this one, e.g. 000003-1f0a9c. Empty: the newest published one."),
        "trials": Param(
            0,
            type="integer",
            minimum=0,
            maximum=243,
            title="Trials",
            description="Hyper-parameters to try for each head before it is trained, the configured ones among them; "
            "0 or 1: only these. Nine trials cost twice the training.",
        ),
        "force": Param(
            False,
            type="boolean",
            title="Force",
            description="Train even if nothing has changed since an earlier run that would train the same heads. "
            "Off: such a run ends at once.",
        ),
        "reason": _reason("Why you start this run; kept with it, and shown where its settings are not the usual ones."),
        "attention": _choice(
            "Attention", {"with": "with", "without": "without: a plain mean in its place"}, TRAINING, "Of the heads."
        ),
        "epochs": _integer("Epochs", 1, 1000, TRAINING, "At most; training ends before when nothing gets better."),
        "learning_rate": _number("Learning rate", TRAINING, "Of Adam, at its highest.", exclusiveMinimum=0, maximum=1),
        "weights": _choice(
            "Weights of the backbones",
            {"imagenet": "imagenet", "random": "random: to see the pipeline work"},
            TRAINING,
            "Other weights mean other feature maps: unless they are cached, every image is extracted.",
        ),
        "imbalance": _choice(
            "Classes of unequal size",
            {
                "random_over": "random_over: repeat images of small classes",
                "class_weight": "class_weight: weigh them more in the loss",
                "none": "none: leave them as they are",
            },
            TRAINING,
            "What makes them count alike.",
        ),
        "warm_start": _choice(
            "Start from the champion's heads",
            {"yes": "yes", "no": "no: from random weights"},
            TRAINING,
            "Where they fit.",
        ),
        "min_macro_f1": _share("Macro F1, at least", "Of the winner on the test images."),
        "min_class_f1": _share("F1 of every class, at least", "Of the winner's weakest class."),
        "min_class_recall": _share("Recall of every class, at least", "Share of a class's images that is found."),
        "champion_margin": _share(
            "Margin to the champion",
            "Macro F1 by which the winner must hardly be worse than the champion; 0 wants a proof that it is better.",
        ),
        "champion_risk": _number(
            "Risk",
            GATE,
            "Probability, at most, that the winner is worse by the margin or more.",
            exclusiveMinimum=0,
            exclusiveMaximum=1,
        ),
        "approval": _choice(
            "Approval",
            {"ask": "ask a person before a promotion"},
            GATE,
            "A form can add this wait; what the settings ask for it cannot take away.",
        ),
    }


def rollback_form() -> dict[str, Param]:
    """Of `rollback`: why, and to which version."""
    return {
        "reason": _required_reason("Why the version that serves now is taken back"),
        "version": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="Version",
            description="To serve from now on. Empty: the one that served before.",
        ),
    }


def promote_form() -> dict[str, Param]:
    """Of `promote`: which run's winner, why, and whether the gate's word is set aside."""
    return {
        "retrain_id": Param(
            "",
            type="string",
            minLength=1,
            maxLength=250,
            title="Run",
            description="Id of the run of Retrain whose winner is to be promoted, as Airflow or its folder spells it.",
        ),
        "reason": _required_reason("Why this winner is promoted now"),
        "against_the_gate": Param(
            False,
            type="boolean",
            title="Against the gate",
            description="Promote it although the gate rejected it, or compared it with another champion than today's. "
            "The rules that it missed are kept on record with your name.",
        ),
    }


def batch_predict_form() -> dict[str, Param]:
    """Of `batch_predict`: which images, under which name, in what pieces."""
    return {
        # Without a default Airflow could not call back when a run fails.
        "prefix": Param(
            "incoming/",
            type="string",
            minLength=1,
            maxLength=1000,
            pattern="^[^/]",
            title="Images",
            description="Beginning of the images' keys in the store, without a slash in front, e.g. incoming/2026-11/.",
        ),
        "name": _text(
            "Name of the batch",
            "The answers lie under predictions/<name>/. A batch that was not finished goes on under its name. Empty: "
            "the run's id.",
            maxLength=100,
        ),
        "shard_size": Param(
            1000,
            type="integer",
            minimum=1,
            maximum=100_000,
            title="Images in a shard",
            description="What one task asks, and at most is asked again after a failure. There are 1,000 shards at "
            "most.",
        ),
    }


def ingest_form() -> dict[str, Param]:
    """Of `ingest_images`: nothing that must be said."""
    return {
        "reason": _reason("What these images are, e.g. their source; kept in the snapshot and shown on its page."),
    }


def housekeeping_form() -> dict[str, Param]:
    """Of `housekeeping`: whether it only looks."""
    return {
        "dry_run": Param(
            False,
            type="boolean",
            title="Only look",
            description="Write the page that says what would go and why, and remove nothing.",
        ),
    }


def monitor_form() -> dict[str, Param]:
    """Of `monitor`: how far to look back."""
    return {
        "window_hours": _number(
            "Hours of requests",
            None,
            "How far to look back for drift. Errors and latency are always those since the last look.",
            exclusiveMinimum=0,
            maximum=24 * 90,
        ),
    }


def overrides_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """What a run of `retrain` was given that belongs over the settings; a name of no field is among it, for Airflow
    takes any.
    """
    return {name: value for name, value in params.items() if name not in NO_SETTINGS}


def who_asked(run: Any) -> str:
    """Who or what started a run, for what is kept of it; a person by the name that Airflow knows."""
    if run.run_type in {"manual", "backfill"}:
        return getattr(run, "triggering_user_name", None) or "unknown user of Airflow"
    others = {"operator_triggered": "another DAG", "scheduled": "the schedule"}
    return others.get(run.run_type, "an event of an asset")


def _variants(environ: Mapping[str, str] | None) -> Param:
    names = ((os.environ if environ is None else environ).get(VARIANTS_VARIABLE) or VARIANTS).split(",")
    return Param(
        [],
        type=["null", "array"],
        items={"type": "string", "minLength": 1},
        examples=[name.strip() for name in names if name.strip()],
        title="Variants",
        description="To train. Empty: all that the settings have under `variants`. Others than the list offers are "
        f"named in the JSON below, or listed by the variable {VARIANTS_VARIABLE}.",
    )


def _required_reason(description: str) -> Param:
    return Param(
        # A default that is no answer: without one Airflow could not call back when a run fails, since it resolves
        # parameters without a form's values then.
        "",
        type="string",
        minLength=3,
        maxLength=LONGEST_REASON,
        title="Reason",
        description=f"{description}: three letters at least; kept on record with your name.",
    )


def _reason(description: str) -> Param:
    return _text("Reason", f"{description} Empty: none is given.", maxLength=LONGEST_REASON)


def _text(title: str, description: str, **bounds: Any) -> Param:
    # The form sends null for a field that was emptied.
    return Param(None, type=["null", "string"], title=title, description=description, **bounds)


def _choice(title: str, words: Mapping[str, str], section: str, description: str) -> Param:
    return Param(
        None,
        type=["null", "string"],
        enum=[None, *words],
        values_display={"null": "as configured", **words},
        title=title,
        section=section,
        description=f"{description} Empty: as configured.",
    )


def _share(title: str, description: str) -> Param:
    return _number(title, GATE, description, minimum=0, maximum=1)


def _integer(title: str, minimum: int, maximum: int, section: str, description: str) -> Param:
    return Param(
        None,
        type=["null", "integer"],
        minimum=minimum,
        maximum=maximum,
        title=title,
        section=section,
        description=f"{description} Empty: as configured.",
    )


def _number(title: str, section: str | None, description: str, **bounds: Any) -> Param:
    where: dict[str, Any] = {} if section is None else {"section": section}
    return Param(
        None,
        type=["null", "number"],
        title=title,
        description=f"{description} Empty: as configured.",
        **where,
        **bounds,
    )
