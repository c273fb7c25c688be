"""Sending an alert through every configured channel; one that is down keeps none of the others from theirs."""

from __future__ import annotations

import logging
import re
import smtplib
import ssl
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests

from ml.alerting.alert import cut, one_line
from ml.alerting.mail import render_mail
from ml.alerting.slack import render_slack
from ml.alerting.webhook import render_webhook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ml.alerting.alert import Alert
    from ml.config import AlertSettings, SmtpSettings

__all__ = ["Delivery", "send"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivery:
    """How a channel fared; ``error`` says why it failed and holds no secret."""

    channel: str
    seconds: float
    error: str | None = None


class _RefusedError(OSError):
    """A channel answered, but did not take the alert."""


def send(alert: Alert, settings: AlertSettings) -> list[Delivery]:
    """Send an alert; returns a delivery for each configured channel, and logs those that failed as errors.

    It never raises because of a channel: what an alert is about matters more than the alert.
    """
    deliveries = [_attempt(channel, deliver) for channel, deliver in _channels(alert, settings)]
    for delivery in deliveries:
        if delivery.error is None:
            log.info("alert '%s' sent to %s in %.1f s", alert.title, delivery.channel, delivery.seconds)
        else:
            log.error("alert '%s' could not be sent to %s: %s", alert.title, delivery.channel, delivery.error)
    return deliveries


def _channels(alert: Alert, settings: AlertSettings) -> Iterator[tuple[str, Callable[[], None]]]:
    slack, smtp, webhook, timeout = settings.slack, settings.smtp, settings.webhook, settings.timeout_seconds
    if slack is not None:
        yield "slack", lambda: _post(slack.webhook_url.get_secret_value(), render_slack(alert), {}, timeout)
    if smtp is not None:
        yield "smtp", lambda: _mail(alert, smtp, timeout)
    if webhook is not None:
        headers = {name: value.get_secret_value() for name, value in webhook.headers.items()}
        yield "webhook", lambda: _post(webhook.url.get_secret_value(), render_webhook(alert), headers, timeout)


def _attempt(channel: str, deliver: Callable[[], None]) -> Delivery:
    started, outside = time.monotonic(), sys.exception()
    error = None
    try:
        deliver()
    # All that requests, smtplib and ssl raise are OSErrors; a URL that cannot be taken apart is a ValueError.
    except (OSError, ValueError) as problem:
        error = _describe(problem, outside)
    return Delivery(channel, time.monotonic() - started, error)


def _post(url: str, body: Mapping[str, Any], headers: Mapping[str, str], timeout: float) -> None:
    wait = _try_post(url, body, headers, timeout, last=False)
    if wait is not None:
        time.sleep(wait)
        _try_post(url, body, headers, timeout, last=True)


def _try_post(
    url: str, body: Mapping[str, Any], headers: Mapping[str, str], timeout: float, *, last: bool
) -> float | None:
    """Post; returns the seconds after which the server wants to be asked once more, None when it has the alert."""
    # A redirect would carry the headers, or the body without its method, to a server that nobody configured.
    with requests.post(
        url, json=body, headers=dict(headers), timeout=timeout, allow_redirects=False, stream=True
    ) as response:
        if response.status_code // 100 == 2:
            return None
        wait = _retry_after(response)
        if last or wait is None or wait > timeout:
            raise _RefusedError(f"{urlsplit(url).hostname} answered {response.status_code}{_reason(response)}")
        log.info("%s answered %d, once more in %.1f s", urlsplit(url).hostname, response.status_code, wait)
        return wait


def _retry_after(response: requests.Response) -> float | None:
    """What a server that is busy says of when it will not be, seconds; None where it says nothing that counts.

    RFC 9110, 10.2.3: a number of seconds, or a date, which needs two clocks that agree and is not followed.
    """
    said = response.headers.get("Retry-After", "").strip()
    busy = response.status_code == requests.codes.too_many or response.status_code // 100 == 5
    return float(said) if busy and re.fullmatch(r"[0-9]{1,9}", said) else None


def _reason(response: requests.Response) -> str:
    """Slack's one-word reason, such as no_service; a longer answer might repeat the address."""
    beginning = next(response.iter_content(64), b"").decode("ascii", errors="replace").strip()
    return f" {beginning}" if re.fullmatch(r"[a-z_]{1,40}", beginning) else ""


def _mail(alert: Alert, settings: SmtpSettings, timeout: float) -> None:
    message = render_mail(alert, settings.sender, settings.recipients)
    with _connect(settings, timeout) as server:
        if settings.security == "starttls":
            server.starttls(context=ssl.create_default_context())
        if settings.user is not None and settings.password is not None:
            server.login(settings.user, settings.password.get_secret_value())
        refused = server.send_message(message, settings.sender, list(settings.recipients))
    if refused:
        raise _RefusedError(f"{settings.host} refused {', '.join(refused)}; the other recipients have it")


def _connect(settings: SmtpSettings, timeout: float) -> smtplib.SMTP:
    # Else smtplib asks DNS for this machine's full name, which no timeout bounds.
    name = settings.sender.rpartition("@")[2]
    if settings.security == "tls":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(settings.host, settings.port, name, timeout=timeout, context=context)
    return smtplib.SMTP(settings.host, settings.port, name, timeout=timeout)


def _describe(problem: BaseException, outside: BaseException | None) -> str:
    """The cause in words of our own: the libraries' messages quote addresses, and a webhook's address is a secret."""
    if isinstance(problem, _RefusedError):
        return str(problem)
    if isinstance(problem, smtplib.SMTPRecipientsRefused):
        return f"all recipients were refused: {', '.join(problem.recipients)}"
    if isinstance(problem, smtplib.SMTPResponseException):
        answer = problem.smtp_error
        words = answer if isinstance(answer, str) else answer.decode(errors="replace")
        return cut(one_line(f"the server answered {problem.smtp_code} {words}"), 200)
    root = _root_cause(problem, outside)
    if isinstance(problem, requests.Timeout) or isinstance(root, TimeoutError):
        return "no answer in time"
    reason = root.strerror if isinstance(root, OSError) else None
    return f"{type(root).__name__}: {reason}" if isinstance(reason, str) else type(root).__name__


def _root_cause(problem: BaseException, outside: BaseException | None) -> BaseException:
    """The end of the chain, short of what was being handled when the alert was sent."""
    seen = {id(problem), id(outside)}
    while (deeper := problem.__cause__ or problem.__context__) is not None and id(deeper) not in seen:
        seen.add(id(deeper))
        problem = deeper
    return problem
