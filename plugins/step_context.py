"""What a task does before and after its step."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from plugins.task_log import settings_opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml.context import Context

__all__ = ["open_context"]


@contextmanager
def open_context(accelerator: bool = False, run: str | None = None) -> Iterator[Context]:
    """Give a step its settings and store. Whether an error is worth another try, `plugins.retrying` says.

    Args:
        accelerator: take a GPU, where there is one, that no other task of this machine has.
        run: id of the retrain run that the step belongs to: what was chosen for it is laid over the settings. None for
            what belongs to no run, and for the step that lays down what was chosen.
    """
    # At run time, not when the DAG is parsed: boto3 and pydantic take longer than everything else there.
    from ml.context import Context

    if accelerator:
        from ml.machine import claim_accelerator

        claim_accelerator()
    context = Context.from_environment()
    context = context if run is None else context.for_run(run)
    settings_opened(context)
    yield context
