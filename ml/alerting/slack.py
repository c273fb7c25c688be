"""An alert as blocks of a Slack message.

Limits and escapes: https://docs.slack.dev/reference/block-kit/blocks and
https://docs.slack.dev/messaging/formatting-message-text
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml.alerting.alert import cut

if TYPE_CHECKING:
    from ml.alerting.alert import Alert, Fact, Link, Severity

__all__ = ["render_slack"]

MAX_HEADER = 150
MAX_TEXT = 3000
FIELDS_IN_A_SECTION = 10

MARKS: dict[Severity, str] = {"critical": "\N{LARGE RED CIRCLE}", "warning": "\N{WARNING SIGN}", "info": "\N{BELL}"}


def render_slack(alert: Alert) -> dict[str, Any]:
    """The body for an incoming webhook; ``text`` is what a notification shows."""
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": cut(_title(alert), MAX_HEADER), "emoji": False}},
        _section(f"```{_escape(alert.message.replace('```', _harmless('```')), MAX_TEXT - 6)}```"),
        *_facts(alert.facts),
    ]
    if alert.remedy:
        blocks.append(_section(f"*What to do next*\n{_escape(alert.remedy, MAX_TEXT - 30)}"))
    if alert.links:
        blocks.append(_section(_link_lines(alert.links)))
    footer = f"Quartet · {alert.severity} · {alert.at:%Y-%m-%d %H:%M:%S %Z}"
    blocks.append({"type": "context", "elements": [_mrkdwn(footer)]})
    return {"text": _escape(_title(alert), MAX_TEXT), "blocks": blocks}


def _title(alert: Alert) -> str:
    return f"{MARKS[alert.severity]} {alert.title}"


def _facts(facts: tuple[Fact, ...]) -> list[dict[str, Any]]:
    fields = [_mrkdwn(f"*{_escape(_harmless(name))}*\n{_code(value)}") for name, value in facts]
    starts = range(0, len(fields), FIELDS_IN_A_SECTION)
    return [{"type": "section", "fields": fields[start : start + FIELDS_IN_A_SECTION]} for start in starts]


def _link_lines(links: tuple[Link, ...]) -> str:
    """A line a link; the last ones are left out when Slack would not take them all."""
    text = ""
    for link in links:
        name, address = _escape(_harmless(link.name)), _escape(link.address).replace("|", "%7C")
        line = f"<{address}|{name}>\n" if link.is_web else f"{name}: {_code(link.address)}\n"
        if len(text) + len(line) <= MAX_TEXT:
            text += line
    return text.rstrip() or "(the links are too long for Slack)"


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _mrkdwn(text)}


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _code(text: str) -> str:
    """As code, where Slack knows no other formatting."""
    return f"`{_escape(text.replace('`', _harmless('`')))}`" if text else "(empty)"


def _harmless(text: str) -> str:
    """The text with look-alikes of the characters that format it."""
    return text.translate({ord("`"): "\N{MODIFIER LETTER GRAVE ACCENT}", ord("*"): "\N{ASTERISK OPERATOR}"})


def _escape(text: str, limit: int = MAX_TEXT) -> str:
    """Slack's three escapes, the result within the limit; the text is cut before, never inside an escape."""
    keep = len(text)
    while len(escaped := _entities(cut(text, keep))) > limit:
        keep -= max(1, (len(escaped) - limit) // 5)
    return escaped


def _entities(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
