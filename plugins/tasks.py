"""Tasks that explain themselves: Airflow's own, with a log that says what was asked and made, and buttons to pages."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar, cast

from airflow.providers.standard.decorators.python import _PythonDecoratedOperator
from airflow.providers.standard.decorators.short_circuit import _ShortCircuitDecoratedOperator
from airflow.sdk import TaskGroup
from airflow.sdk.bases.decorator import task_decorator_factory

from plugins.gpu_pod import gpu_pod_arguments
from plugins.task_log import Telling, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from airflow.sdk.bases.decorator import TaskDecorator
    from airflow.sdk.definitions.context import Context

    from plugins.links import PageLink

__all__ = ["ShortCircuitStep", "Step", "short_circuit_step", "stage", "step"]


class Step(_PythonDecoratedOperator):
    """A function as a task. What it makes and shows is said by the class, which mapped tasks keep as well."""

    makes: ClassVar[Callable[[Telling], str] | None] = None
    returns: ClassVar[str] = ""
    #: Of the last execution, for the links.
    telling: Telling | None = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(show_return_value_in_logs=False, **kwargs)

    def execute(self, context: Context) -> Any:
        """Call the function, and tell of it."""
        arguments = inspect.signature(self.python_callable).bind(*self.op_args, **self.op_kwargs).arguments
        links = cast("Collection[PageLink]", self.operator_extra_links)
        with tell(context, arguments, links, type(self).makes, self.returns) as self.telling:
            self.telling.result = super().execute(context)
        return self.telling.result


class ShortCircuitStep(Step, _ShortCircuitDecoratedOperator):
    """The same, for a function whose false answer skips the tasks after it."""

    custom_operator_name = _ShortCircuitDecoratedOperator.custom_operator_name


def step(
    *,
    links: Collection[PageLink] = (),
    makes: Callable[[Telling], str] | None = None,
    returns: str = "",
    **kwargs: Any,
) -> TaskDecorator:
    """``@task`` for the steps of this project.

    Args:
        links: buttons of the task.
        makes: the key, in the store, of what the task writes; a prefix for more than one object.
        returns: what the function returns, in the log: a word before a number or a name.
        kwargs: as for ``@task``; a task of the queue `gpu` gets a pod of its own where the installation says so.

    Raises:
        ConfigError: the variable that says so is wrong.
    """
    # A mapped task is made anew on the worker from its class alone, so that this is where it finds what it shows.
    said = {
        "operator_extra_links": tuple(links),
        "makes": staticmethod(makes) if makes else None,
        "returns": returns,
        "__module__": __name__,
    }
    arguments = gpu_pod_arguments(kwargs.get("queue")) | kwargs
    return task_decorator_factory(decorated_operator_class=type(Step.__name__, (Step,), said), **arguments)


def short_circuit_step(**kwargs: Any) -> TaskDecorator:
    """``@task.short_circuit`` for the steps of this project."""
    return task_decorator_factory(decorated_operator_class=ShortCircuitStep, **kwargs)


def stage(group_id: str, title: str, tooltip: str) -> TaskGroup:
    """A stage of the graph; tasks keep their ids, by which people clear them."""
    return TaskGroup(group_id, prefix_group_id=False, group_display_name=title, tooltip=tooltip)
