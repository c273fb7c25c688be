"""Starting another DAG from within a task."""

from __future__ import annotations

from typing import NoReturn

from airflow.sdk.exceptions import DagRunTriggerException

__all__ = ["start_dag"]


def start_dag(dag_id: str, run_id: str, reason: str) -> NoReturn:
    """End the task that calls this by starting a run of another DAG; the task is skipped where there is such a run.

    It is what TriggerDagRunOperator does at run time. The operator's module costs half a second of Airflow's models
    whenever a DAG file is read.

    Args:
        dag_id: of the DAG to start.
        run_id: of the run, which is not waited for.
        reason: goes into its form.

    Raises:
        DagRunTriggerException: always; Airflow takes it from the task.
    """
    raise DagRunTriggerException(
        trigger_dag_id=dag_id,
        dag_run_id=run_id,
        conf={"reason": reason},
        logical_date=None,
        reset_dag_run=False,
        skip_when_already_exists=True,
        wait_for_completion=False,
        allowed_states=[],
        failed_states=[],
        poke_interval=60,
        deferrable=False,
    )
