"""Alerts: what happened, with the numbers and what to do next, sent through the configured channels."""

from ml.alerting.alert import Alert, Fact, Link, Severity
from ml.alerting.decision import approval_alert, rejection_alert, unanswered_alert
from ml.alerting.failure import deadline_alert, describe_failure, failure_alert
from ml.alerting.mail import render_mail
from ml.alerting.monitoring import monitoring_alert
from ml.alerting.quality import quality_alert, refusal_alert
from ml.alerting.reference import RunReference
from ml.alerting.sending import Delivery, send
from ml.alerting.serving import canary_alert, promotion_alert, rollback_alert, taken_back_alert
from ml.alerting.slack import render_slack
from ml.alerting.telling import tell
from ml.alerting.trial import trial_alert
from ml.alerting.webhook import render_webhook

__all__ = [
    "Alert",
    "Delivery",
    "Fact",
    "Link",
    "RunReference",
    "Severity",
    "approval_alert",
    "canary_alert",
    "deadline_alert",
    "describe_failure",
    "failure_alert",
    "monitoring_alert",
    "promotion_alert",
    "quality_alert",
    "refusal_alert",
    "rejection_alert",
    "render_mail",
    "render_slack",
    "render_webhook",
    "rollback_alert",
    "send",
    "taken_back_alert",
    "tell",
    "trial_alert",
    "unanswered_alert",
]
