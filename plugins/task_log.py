"""What every task says in its log: first what it was asked, last what it made and where to look."""

from __future__ import annotations

import json
import logging
import traceback
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from airflow.sdk.exceptions import (
    AirflowSkipException,
    DagRunTriggerException,
    DownstreamTasksSkipped,
    TaskAwaitingInput,
    TaskDeferred,
)

import ml

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from airflow.sdk.definitions.context import Context

    from ml.context import Context as StepContext

__all__ = ["Telling", "settings_opened", "tell", "without_credentials"]

log = logging.getLogger("quartet.task")

#: Characters of what is shown of arguments, results and errors: a line is to be read.
MAX_TEXT = 600
#: Folders whose lines say where a failure is; others are libraries'.
OURS = ("ml", "serving", "plugins", "dags")
#: Where they lie; an image may have the packages elsewhere than Airflow's folders.
ROOTS = (Path(ml.__file__).parents[1], Path(__file__).parents[1])


class Page(Protocol):
    """A page that a task may have to show."""

    @property
    def name(self) -> str:
        """What people call it."""

    def find(self, telling: Telling) -> str:
        """Its address; empty where there is none."""


@dataclass
class Telling:
    """What is known of a task while it runs.

    Attributes:
        run_id: of Airflow's run.
        arguments: what the task was called with, by name.
        result: what it returned; None before that, and when it failed.
        opened: the settings and the store, once it has opened them.
        pages: addresses of what it has to show by the name of the link, when it has ended.
    """

    run_id: str
    arguments: Mapping[str, Any]
    result: Any = None
    opened: StepContext | None = None
    pages: dict[str, str] = field(default_factory=dict)


_current: ContextVar[Telling | None] = ContextVar("telling", default=None)


def settings_opened(context: StepContext) -> None:
    """Say which settings and store the task works with."""
    from ml.config import settings_file

    log.info("with: settings %s, store %s", settings_file() or "by default", without_credentials(context.store.url))
    telling = _current.get()
    if telling is not None:
        telling.opened = context


@contextmanager
def tell(
    airflow: Context,
    arguments: Mapping[str, Any],
    pages: Collection[Page] = (),
    makes: Callable[[Telling], str] | None = None,
    returns: str = "",
) -> Iterator[Telling]:
    """Tell of a task's beginning and end, however it ends; what it raises is raised on.

    Args:
        airflow: the task's context.
        arguments: what the task is called with, by name.
        pages: that it may have to show.
        makes: the key, in the store, of what the task writes; a prefix for more than one object.
        returns: what its result is, where that does not say so itself.
    """
    telling = Telling(airflow["run_id"], arguments)
    log.info("asked: %s", _asked(airflow, arguments))
    token = _current.set(telling)
    try:
        yield telling
        log.info("made: %s%s", f"{returns} {_short(telling.result)}".lstrip(), _where(telling, pages, makes))
    except AirflowSkipException as skipped:
        log.info("skipped: %s%s", skipped, _where(telling, pages))
        raise
    except DownstreamTasksSkipped:
        log.info("made: nothing; the tasks after it are skipped")
        raise
    except DagRunTriggerException as started:
        log.info("made: run %s of %s%s", started.dag_run_id, started.trigger_dag_id, _where(telling, pages))
        raise
    except (TaskDeferred, TaskAwaitingInput):
        log.info("waits, without a worker%s", _where(telling, pages))
        raise
    except BaseException as error:
        # Airflow logs the traceback; this is the line for whoever has to do something about it.
        log.error("failed: %s%s", _failure(error), _where(telling, pages))  # noqa: TRY400
        raise
    finally:
        _current.reset(token)


def without_credentials(address: str) -> str:
    """An address without the user and password that it may carry."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else address


def _asked(airflow: Context, arguments: Mapping[str, Any]) -> str:
    task: Any = airflow["ti"]
    label = task.rendered_map_index if getattr(task, "rendered_map_index", None) else task.map_index
    name = task.task_id if task.map_index is None or task.map_index < 0 else f"{task.task_id} [{label}]"
    parts = [f"{task.dag_id}, {name}, of run {task.run_id}, try {task.try_number} of {task.max_tries + 1}"]
    parts += [f"with {_short(dict(arguments))}"] if arguments else []
    params = {key: value for key, value in airflow["params"].items() if value is not None}
    parts += [f"params {_short(params)}"] if params else []
    return ", ".join(parts)


def _where(telling: Telling, pages: Collection[Page], makes: Callable[[Telling], str] | None = None) -> str:
    """Where to look, for the end of a line; leaves the pages for the task's links."""
    uri = _found(lambda told: _uri(told, makes), telling) if makes else ""
    telling.pages = {page.name: address for page in pages if (address := _found(page.find, telling))}
    look = "".join(f"; {name}: {address}" for name, address in telling.pages.items())
    return (f", in {uri}" if uri else "") + look


def _uri(telling: Telling, makes: Callable[[Telling], str]) -> str:
    """Where what was made lies; empty where nothing does, as when a step had nothing to do."""
    if telling.opened is None:
        return ""
    key, store = makes(telling), telling.opened.store
    there = key.endswith("/") or store.head(key) is not None
    return without_credentials(store.uri(key)) if there else ""


def _found(find: Callable[[Telling], str], telling: Telling) -> str:
    try:
        return find(telling)
    except Exception:
        # The task itself has ended well or badly by now; not to find where to look changes nothing about it.
        log.exception("where to look cannot be found out")
        return ""


def _failure(error: BaseException) -> str:
    places = [place for one in traceback.extract_tb(error.__traceback__) if (place := _place(one))]
    at = f"; at {places[-1]}" if places else ""
    links = "".join(f"; {name}: {address}" for name, address in getattr(error, "links", {}).items())
    return f"{_cut(f'{type(error).__name__}: {error}')}{at}{links}"


def _place(frame: traceback.FrameSummary) -> str:
    """File and line, where they are this project's own and not of this file."""
    path = Path(frame.filename)
    for root in ROOTS:
        if path.is_relative_to(root) and path.relative_to(root).parts[0] in OURS and path != Path(__file__):
            return f"{path.relative_to(root)}:{frame.lineno}"
    return ""


def _short(value: Any) -> str:
    return _cut(json.dumps(value, ensure_ascii=False, default=str))


def _cut(text: str) -> str:
    """On one line, and not too long."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_TEXT else f"{line[:MAX_TEXT]}… ({len(line)} characters)"
