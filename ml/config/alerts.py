"""Where alerts go: zero or more channels, each there when its section is."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PlainSerializer, SecretStr, SerializationInfo, model_validator

from ml.config.base import Section

__all__ = ["REVEAL_SECRETS", "AlertSettings", "SlackSettings", "SmtpSettings", "WebhookSettings"]

#: A week: a folded alert must not be forgotten before it is told.
LONGEST_FOLD_MINUTES = 7 * 24 * 60
#: As ``context`` of ``model_dump(mode="json")``: secrets as they are, for a file that only the owner can read.
REVEAL_SECRETS = {"reveal_secrets": True}


def _dump_secret(value: SecretStr, info: SerializationInfo) -> str:
    revealed = isinstance(info.context, dict) and info.context.get("reveal_secrets")
    return value.get_secret_value() if revealed else str(value)


def _check_url(value: SecretStr) -> SecretStr:
    url = value.get_secret_value()
    if not url.startswith(("https://", "http://")) or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("must be a URL that starts with https:// or http://")
    return value


def _check_header(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text.isascii() or not text.isprintable() or text != text.strip():
        raise ValueError("must be printable ASCII on one line, without spaces at its ends")
    return value


Secret = Annotated[SecretStr, PlainSerializer(_dump_secret, return_type=str, when_used="json")]
SecretUrl = Annotated[Secret, AfterValidator(_check_url)]
Address = Annotated[str, Field(pattern=r"^[^@\s,;<>\"]+@[^@\s,;<>\"]+$")]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")]
HeaderValue = Annotated[Secret, AfterValidator(_check_header)]


class SlackSettings(Section):
    """A channel at Slack."""

    webhook_url: SecretUrl = Field(description="of an incoming webhook; whoever knows it can post")


class SmtpSettings(Section):
    """E-mail."""

    host: str = Field(min_length=1)
    port: int = Field(587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="starttls (mostly port 587), tls from the first byte (mostly 465), or none (mostly 25)"
    )
    user: str | None = None
    password: Secret | None = None
    sender: Address
    recipients: tuple[Address, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _credentials_together_and_safe(self) -> SmtpSettings:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password go together")
        if self.password is not None and self.security == "none":
            raise ValueError("a password needs security starttls or tls, or it travels in the clear")
        return self


class WebhookSettings(Section):
    """Any server that takes the alert as JSON."""

    url: SecretUrl
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict, description="e.g. Authorization")


class AlertSettings(Section):
    """Who is told when a run fails, when data are doubtful, what is promoted, and when a run takes too long."""

    slack: SlackSettings | None = None
    smtp: SmtpSettings | None = None
    webhook: WebhookSettings | None = None
    fold_minutes: float = Field(
        60,
        ge=0,
        le=LONGEST_FOLD_MINUTES,
        description="alerts of the same cause within so long are one alert, and the next says how many there were; "
        "0 sends every one",
    )
    timeout_seconds: float = Field(10, gt=0, le=60, description="for a connection and for each answer of a channel")
    base_url: str | None = Field(
        None, pattern=r"^https?://\S+$", description="of Airflow's UI, for links; Airflow's api.base_url when null"
    )
