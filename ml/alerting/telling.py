"""Telling people: what was told just now is folded, the rest goes to every channel."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from ml.alerting.alert import Fact
from ml.alerting.folding import claim_window, close_window, prune_windows
from ml.alerting.sending import send
from ml.storage import open_store

if TYPE_CHECKING:
    from ml.alerting.alert import Alert
    from ml.alerting.folding import Claim, Untold
    from ml.alerting.sending import Delivery
    from ml.config import AlertSettings, Settings, StoreSettings
    from ml.storage import Store

__all__ = ["quick_store", "tell"]

log = logging.getLogger(__name__)

#: A store that does not answer may be the very cause; alerts wait less for it than steps do.
CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 3, 5, 2


def tell(alert: Alert, settings: Settings) -> list[Delivery]:
    """Send an alert, unless its cause was told within ``alerts.fold_minutes``; returns a delivery for each channel.

    It never raises: what an alert is about matters more than the alert. Where the store cannot be asked what was told,
    the alert is sent, and the log says so.
    """
    length = timedelta(minutes=settings.alerts.fold_minutes)
    if not alert.cause or not length or not _has_channels(settings.alerts):
        return send(alert, settings.alerts)
    try:
        store = quick_store(settings.store)
        claim = claim_window(store, alert, length)
    except Exception as error:  # whatever a broken disk or an S3 library may raise: the alert comes first
        log.warning("alert '%s' is sent unfolded, the store cannot be asked: %s", alert.title, error, exc_info=True)
        return send(alert, settings.alerts)
    if claim is None:
        log.info("alert '%s' folded: the same cause was told less than %s ago", alert.title, length)
        return []
    deliveries = send(_with_untold(alert, claim.untold), settings.alerts)
    try:
        _remember(store, claim, alert, deliveries)
    except Exception as error:
        log.warning("alert '%s' is not remembered as sent: %s", alert.title, error, exc_info=True)
    return deliveries


def quick_store(settings: StoreSettings) -> Store:
    """The store, with less patience.

    Raises:
        ConfigError: it cannot be opened as the settings say.
    """
    hasty = {
        "connect_timeout_seconds": min(CONNECT_SECONDS, settings.connect_timeout_seconds),
        "read_timeout_seconds": min(READ_SECONDS, settings.read_timeout_seconds),
        "max_attempts": min(ATTEMPTS, settings.max_attempts),
    }
    return open_store(settings.model_copy(update=hasty))


def _remember(store: Store, claim: Claim, alert: Alert, deliveries: list[Delivery]) -> None:
    close_window(store, claim, told=any(delivery.error is None for delivery in deliveries))
    prune_windows(store, alert.at)


def _with_untold(alert: Alert, untold: Untold | None) -> Alert:
    if untold is None:
        return alert
    alike = f"{untold.alerts} alert{'' if untold.alerts == 1 else 's'} of the same cause since"
    return replace(alert, facts=(Fact("not sent", f"{alike} {untold.since:%Y-%m-%d %H:%M:%S %Z}"), *alert.facts))


def _has_channels(settings: AlertSettings) -> bool:
    return any(channel is not None for channel in (settings.slack, settings.smtp, settings.webhook))
