"""An alert as an e-mail: plain text, and HTML for those who show it."""

from __future__ import annotations

import re
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup, escape

from ml.templating import make_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jinja2 import Template

    from ml.alerting.alert import Alert, Severity

__all__ = ["render_html", "render_mail", "render_text"]


class Colours(NamedTuple):
    """Of a severity: the bar, and text on white and on black that can be read by everyone (WCAG AA)."""

    bar: str
    on_light: str
    on_dark: str


COLOURS: dict[Severity, Colours] = {
    "critical": Colours("#c43d00", "#a63d00", "#ff9c66"),
    "warning": Colours("#e69f00", "#6b4a00", "#ffd98a"),
    "info": Colours("#0068a5", "#0068a5", "#6cbcf0"),
}


_BACKTICKS = re.compile(r"`([^`\n]{1,120})`")
_CODE = (
    r'<code class="code" style="padding: 1px 4px; border-radius: 3px; background: #e8ebef; '
    r"font-family: ui-monospace, Consolas, 'Liberation Mono', monospace; font-size: 0.92em;\">\1</code>"
)


def render_mail(alert: Alert, sender: str, recipients: Sequence[str]) -> EmailMessage:
    """The whole message. The subject is one line, because an alert's title is."""
    message = EmailMessage(policy=SMTP)
    message["Subject"] = f"[Quartet] {alert.severity}: {alert.title}"
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Date"] = format_datetime(alert.at)
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    # RFC 3834: no answer from somebody's holiday note, please.
    message["Auto-Submitted"] = "auto-generated"
    if alert.severity == "critical":
        message["Importance"] = "high"
    message.set_content(render_text(alert))
    message.add_alternative(render_html(alert), subtype="html")
    return message


def render_text(alert: Alert) -> str:
    """For a mail programme that shows no HTML."""
    paragraphs = [alert.title, alert.message]
    if alert.facts:
        paragraphs.append("\n".join(f"{name}: {value}" for name, value in alert.facts))
    if alert.remedy:
        paragraphs.append(f"What to do next: {alert.remedy}")
    if alert.links:
        paragraphs.append("\n".join(f"{name}: {address}" for name, address in alert.links))
    paragraphs.append(f"Sent by Quartet at {alert.at:%Y-%m-%d %H:%M:%S %Z}.")
    return "\n\n".join(paragraphs) + "\n"


def render_html(alert: Alert) -> str:
    """A page without anything to load; every text in it is escaped."""
    return _template().render(alert=alert, colours=COLOURS[alert.severity])


@cache
def _template() -> Template:
    return make_environment({"code": _with_code, "sentence": _capitalised}).get_template("alert.html.j2")


def _with_code(text: str) -> Markup:
    """The text, escaped, with what stands between backticks as code."""
    return Markup(_BACKTICKS.sub(_CODE, str(escape(text))))  # noqa: S704 - escaped, and the tags are ours


def _capitalised(text: str) -> str:
    """With a capital first; Jinja's own filter makes the others small."""
    return text[:1].upper() + text[1:]
