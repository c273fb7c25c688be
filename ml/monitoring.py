"""What the monitor finds: each thing that was looked at, held against its limit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml.config import MonitoringSettings

__all__ = [
    "DRIFT",
    "SERVING",
    "TRAFFIC",
    "Finding",
    "Served",
    "Traffic",
    "beyond",
    "judge_serving",
    "judge_traffic",
    "unknown",
]

SERVING, TRAFFIC, DRIFT = "What serves", "Traffic", "Drift"
Status = Literal["within", "beyond", "unknown"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        topic: heading under which it is shown.
        name: what was looked at; with its topic it is the same from look to look.
        status: within its limit, beyond it, or unknown because it could not be measured.
        measured: in words; why not, where it is unknown.
        required: in words.
        critical: whether it asks for somebody at once.
        value: what was measured, None where that is no number.
        p_value: of a test, adjusted for all tests of the look.
    """

    topic: str
    name: str
    status: Status
    measured: str
    required: str = ""
    critical: bool = False
    value: float | None = None
    p_value: float | None = None

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Finding:
        """From JSON."""
        return cls(**document)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def beyond(findings: Sequence[Finding]) -> list[Finding]:
    """Those beyond their limits, what asks for somebody at once first."""
    return sorted((one for one in findings if one.status == "beyond"), key=lambda one: not one.critical)


def unknown(topic: str, name: str, why: str, required: str = "") -> Finding:
    """What could not be measured."""
    return Finding(topic, name, "unknown", why, required)


@dataclass(frozen=True)
class Served:
    """Which version is meant to serve, by three accounts.

    Attributes:
        recorded: by the record of what serves; None before the first promotion.
        at_server: by the model server; None where it did not say.
        in_registry: by the registry's alias; None where it names none.
        server_error: why the server did not say.
        registry_error: why the registry did not.
        settling: whether the record is so new that the others may still be on their way.
    """

    recorded: int | None
    at_server: int | None = None
    in_registry: int | None = None
    server_error: str = ""
    registry_error: str = ""
    settling: bool = False


def judge_serving(served: Served) -> list[Finding]:
    """Hold the server and the registry against the record."""
    if served.recorded is None:
        return [unknown(SERVING, name, "nothing was promoted yet") for name in ("model server", "registry")]
    wanted = f"version {served.recorded}, as recorded"
    return [
        _agrees("model server", served.at_server, served.server_error, wanted, served, critical=True),
        _agrees("registry", served.in_registry, served.registry_error, wanted, served, critical=False),
    ]


def _agrees(name: str, version: int | None, error: str, wanted: str, served: Served, *, critical: bool) -> Finding:
    measured = error or ("no version" if version is None else f"version {version}")
    if version == served.recorded and not error:
        return Finding(SERVING, name, "within", measured, wanted, critical)
    # Errors wait as well: before its first version is loaded, a server does not know the label that it is asked for.
    if served.settling:
        return unknown(SERVING, name, f"{measured}; the record is a moment old", wanted)
    return Finding(SERVING, name, "beyond", measured, wanted, critical)


@dataclass(frozen=True)
class Traffic:
    """Requests since the last look, by the server's own counters; ``p95_ms`` is None where none was answered."""

    requests: int
    errors: int
    p95_ms: float | None
    since: str

    @property
    def error_share(self) -> float:
        """Of the requests; 0 of none."""
        return self.errors / self.requests if self.requests else 0.0


def judge_traffic(traffic: Traffic | None, limits: MonitoringSettings, why: str = "") -> list[Finding]:
    """Hold errors and latency against their limits.

    Args:
        traffic: None where it could not be measured.
        limits: of the settings.
        why: it could not.
    """
    share = f"at most {limits.max_error_share:.1%} of the requests"
    latency = None if limits.max_latency_ms is None else f"at most {limits.max_latency_ms:g} ms"
    few = why
    if traffic is not None and traffic.requests < limits.min_requests:
        few = f"{traffic.requests:,} requests since {traffic.since}, at least {limits.min_requests:,} tell something"
    if traffic is None or few:
        named = [("errors", share), *([("latency (p95)", latency)] if latency else [])]
        return [unknown(TRAFFIC, name, few, required) for name, required in named]
    found = [_errors(traffic, limits.max_error_share, share)]
    if latency is not None and limits.max_latency_ms is not None:
        found.append(_latency(traffic, limits.max_latency_ms, latency))
    return found


def _errors(traffic: Traffic, limit: float, required: str) -> Finding:
    share = traffic.error_share
    measured = f"{share:.2%}, {traffic.errors:,} of {traffic.requests:,} requests since {traffic.since}"
    return Finding(TRAFFIC, "errors", "within" if share <= limit else "beyond", measured, required, True, share)


def _latency(traffic: Traffic, limit: float, required: str) -> Finding:
    if traffic.p95_ms is None:
        return unknown(TRAFFIC, "latency (p95)", "no request was answered", required)
    status: Status = "within" if traffic.p95_ms <= limit else "beyond"
    return Finding(TRAFFIC, "latency (p95)", status, f"{traffic.p95_ms:.1f} ms", required, False, traffic.p95_ms)
