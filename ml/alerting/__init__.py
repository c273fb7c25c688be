"""Alerts: what went wrong, with the numbers and what to do next, sent through the configured channels."""

from ml.alerting.alert import Alert, Fact, Link, Severity
from ml.alerting.compose import (
    RunReference,
    approval_alert,
    deadline_alert,
    describe_failure,
    failure_alert,
    quality_alert,
    rejection_alert,
    trial_alert,
    unanswered_alert,
)
from ml.alerting.mail import render_mail
from ml.alerting.monitoring import monitoring_alert
from ml.alerting.sending import Delivery, send
from ml.alerting.serving import canary_alert, rollback_alert, taken_back_alert
from ml.alerting.slack import render_slack
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
    "quality_alert",
    "rejection_alert",
    "render_mail",
    "render_slack",
    "render_webhook",
    "rollback_alert",
    "send",
    "taken_back_alert",
    "trial_alert",
    "unanswered_alert",
]
