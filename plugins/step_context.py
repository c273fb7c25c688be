"""What a task does before and after its step."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowFailException

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml.context import Context

__all__ = ["open_context"]


@contextmanager
def open_context(accelerator: bool = False, run: str | None = None) -> Iterator[Context]:
    """Give a step its settings and store.

    Args:
        accelerator: take a GPU, where there is one, that no other task of this machine has.
        run: id of the retrain run that the step belongs to: what was chosen for it is laid over the settings. None for
            what belongs to no run, and for the step that lays down what was chosen.

    Raises:
        AirflowFailException: for an error that stays however often the task is tried: wrong settings, wrong data,
            missing weights. A store that does not answer is worth another try.
    """
    # At run time, not when the DAG is parsed: boto3 and pydantic take longer than everything else there.
    from ml.context import Context
    from ml.errors import ConfigError, CorruptShardError, DataError, WeightsError

    try:
        if accelerator:
            from ml.machine import claim_accelerator

            claim_accelerator()
        context = Context.from_environment()
        yield context if run is None else context.for_run(run)
    except CorruptShardError:
        raise  # where `quartet forget` has replaced a shard meanwhile, another try reads the new one
    except (ConfigError, DataError, WeightsError) as error:
        raise AirflowFailException(f"{type(error).__name__}: {error}") from error
