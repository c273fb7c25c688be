"""Who may see the pages, and who may start what: asked of Airflow, which knows its users."""

from __future__ import annotations

from typing import Annotated, Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import Depends, HTTPException, Request, status

__all__ = ["ACTIONS", "Rights", "RightsDep", "SeesModels", "may_start"]

#: What can be started from the page: the DAGs of these names.
ACTIONS = ("retrain", "promote", "rollback")

#: The pages show what a run of `retrain` has made, to whoever may see that DAG.
SeesModels = Depends(requires_access_dag("GET", param_dag_id="retrain"))

Rights = frozenset[str]


def may_start(request: Request, user: GetUserDep, action: str) -> None:
    """Let pass who may trigger the action's DAG.

    Raises:
        HTTPException: 404 for another action, 403 for somebody who may not.
    """
    if action not in ACTIONS:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"There is no action {action!r}. Known: {', '.join(ACTIONS)}.")
    try:
        requires_access_dag("POST", DagAccessEntity.RUN, action)(request, user)
    except HTTPException as refusal:
        if refusal.status_code != status.HTTP_403_FORBIDDEN:
            raise
        words = f"{user.get_name()} may not trigger the DAG `{action}`. An administrator of Airflow gives that right."
        raise HTTPException(status.HTTP_403_FORBIDDEN, words) from refusal


def _rights(request: Request, user: GetUserDep) -> Rights:
    return frozenset(action for action in ACTIONS if _may(request, user, action))


def _may(request: Request, user: Any, action: str) -> bool:
    try:
        may_start(request, user, action)
    except HTTPException as refusal:
        if refusal.status_code != status.HTTP_403_FORBIDDEN:
            raise
        return False
    return True


RightsDep = Annotated[Rights, Depends(_rights)]
