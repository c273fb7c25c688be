"""A person's approval between gate and promotion, for whoever sets `gate.approval`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.configuration import conf
from airflow.sdk.execution_time.hitl import HITLUser

from plugins.alerts import tell_of_approval, warn_of_silence
from plugins.links import RUN_PAGE
from plugins.made import run_file
from plugins.step_context import open_context
from plugins.task_log import Telling, tell

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from contextlib import AbstractContextManager

    from airflow.sdk.definitions.context import Context

    from ml.approval import Answer
    from ml.config import ApprovalSettings

__all__ = ["LONGEST_WAIT", "PromotionApproval"]

#: Of `gate.approval.timeout_hours`, whose module costs too much when a DAG file is read.
LONGEST_WAIT = timedelta(hours=168)


class PromotionApproval(ApprovalOperator):
    """Asks whether a cleared winner is promoted.

    Settings are read at run time: where they ask for nobody, or the gate has rejected the winner, the task succeeds at
    once. It returns ``promoted`` and ``reason``. After a rejection, or when time has run out, what follows is skipped.

    Args:
        retrain_id: the run's id, a template.
    """

    template_fields = ("retrain_id",)
    operator_extra_links = (RUN_PAGE,)
    #: Of the last execution, for the links.
    telling: Telling | None = None

    def __init__(self, *, retrain_id: str, **kwargs: Any) -> None:
        # With any response time-out Airflow leaves `execution_timeout` to the process, as for other tasks.
        super().__init__(subject="Promote?", defaults=self.REJECT, response_timeout=LONGEST_WAIT, **kwargs)
        self.retrain_id = retrain_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Ask, and wait without a slot; or hand on the gate's decision."""
        with self._tell(context) as self.telling:
            self.telling.result = decided = self._ask(context)
        return decided

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Record who answered what, and go on with it."""
        with self._tell(context) as self.telling:
            self.telling.result = decided = self._go_on(context, event)
        return decided

    def _tell(self, context: Context) -> AbstractContextManager[Telling]:
        return tell(context, {"retrain_id": self.retrain_id}, self.operator_extra_links, run_file())

    def _go_on(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        from ml.steps import approve

        with open_context(run=self.retrain_id) as step_context:
            if not self._may_answer(event, step_context.settings.gate.approval):
                return self._ask(context)
            approval = approve.answer(step_context, self.retrain_id, self._answer(event))
            if approval.answer is not None and approval.answer.timed_out:
                warn_of_silence(step_context, self.retrain_id, str(approval))
        # On the command line somebody may have been quicker.
        recorded = self.APPROVE if approval.approved else self.REJECT
        super().execute_complete(context, event | {"chosen_options": [recorded]})
        return {"promoted": approval.approved, "reason": str(approval)}

    def _ask(self, context: Context) -> dict[str, Any]:
        from ml.steps import approve

        now = datetime.now(UTC)
        with open_context(run=self.retrain_id) as step_context:
            request = approve.run(step_context, self.retrain_id, now)
        approval = step_context.settings.gate.approval
        if request["waits"] and approval is not None:
            self.subject = f"Promote {request['variant']} of {self.retrain_id}?"
            self.body = _describe(request)
            self.response_timeout = timedelta(hours=approval.timeout_hours)
            self.assigned_users = _assigned(approval.approvers)
            tell_of_approval(step_context, request, now + self.response_timeout)
            super().execute(context)
        return {name: request[name] for name in ("promoted", "reason")}

    def _may_answer(self, event: Mapping[str, Any], approval: ApprovalSettings | None) -> bool:
        """Where ids are names Airflow refuses others itself, unless the task was asked for before with other names,
        which it keeps.
        """
        user = event["responded_by_user"]
        if user is None or approval is None or not approval.approvers or user["name"] in approval.approvers:
            return True
        self.log.warning("%s (%s) is not in gate.approval.approvers: asking again", user["name"], user["id"])
        return False

    def _answer(self, event: Mapping[str, Any]) -> Answer:
        from ml.approval import Answer

        user = event["responded_by_user"] or {}
        approved = event["chosen_options"] == [self.APPROVE]
        return Answer(approved, event["responded_at"].isoformat(), user.get("name"), user.get("id"))


def _assigned(names: Collection[str]) -> list[HITLUser] | None:
    """Who alone may answer, for Airflow, which compares ids: numbers, and not names, where a database has the users.

    Nobody could answer if it were given names then; whoever answers is looked at afterwards.
    """
    ids_are_names = conf.get("core", "auth_manager", fallback="").endswith(".SimpleAuthManager")
    return [HITLUser(id=name, name=name) for name in names] if names and ids_are_names else None


def _describe(request: Mapping[str, Any]) -> str:
    """The decision as Markdown; names of classes and variants are people's text."""
    from ml.templating import plain_markdown as plain

    rules = [
        f"- {plain(rule['name'])}: **{plain(rule['measured'])}**, required {plain(rule['required'])}"
        for rule in request["rules"]
    ]
    heading = f"The gate has cleared **{plain(request['variant'])}**."
    page = f"The run's page: {plain(request['page'])}"
    # Airflow keeps the text of a task instance when it is cleared.
    caution = "If `gate` has run again since, the numbers above are the earlier ones and the page has those of today."
    notice = [f"**{plain(request['gate_notice'])}**", ""] if request["gate_notice"] else []
    return "\n".join([heading, "", *notice, *rules, "", page, "", caution])
