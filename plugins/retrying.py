"""Which errors are worth another try: what may pass is tried again, what stays fails at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["RETRY_POLICY", "GrpcRule", "NamedRule"]

#: Of what Quartet raises itself; the first rule that fits decides.
REPLACED = ("ml.errors.CorruptShardError",)
STAYS = (
    "ml.errors.ConfigError",
    "ml.errors.DataError",
    "ml.errors.InvalidKeyError",
    "ml.errors.WeightsError",
)
OUT_OF_MEMORY = ("builtins.MemoryError", "tensorflow.python.framework.errors_impl.ResourceExhaustedError")
PASSES = ("ml.errors.StoreError", "ml.errors.ServingError")
#: Trouble on the way to another machine, by whichever library met it.
NETWORK = (
    "builtins.ConnectionError",
    "builtins.TimeoutError",
    "botocore.exceptions.HTTPClientError",
    "botocore.exceptions.ConnectionError",
    "requests.exceptions.ConnectionError",
    "requests.exceptions.Timeout",
    "requests.exceptions.ChunkedEncodingError",
    "urllib3.exceptions.TimeoutError",
    "urllib3.exceptions.ProtocolError",
    "urllib3.exceptions.MaxRetryError",
)
#: Status codes of gRPC that say nothing against the request itself.
GRPC_PASSES = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED")


class NamedRule(RetryRule):
    """A rule for classes that are named and never imported.

    Airflow's own rule imports what it names as soon as it is made, which would be TensorFlow whenever a DAG file is
    read. An error that was raised brings its classes along, so that their names are enough.
    """

    def __init__(self, names: Iterable[str], action: RetryAction, reason: str) -> None:
        self.exception = list(names)
        self.action = action
        self.retry_delay = None  # the task's own, which grows from try to try
        self.reason = reason
        self.match_subclasses = True

    def matches(self, exc: BaseException) -> bool:
        """Whether a class of the error, or one that it descends from, is among the names."""
        return any(f"{kind.__module__}.{kind.__qualname__}" in self._specs for kind in type(exc).__mro__)


class GrpcRule(NamedRule):
    """A rule for calls over gRPC that ended with one of some status codes."""

    def __init__(self, codes: Iterable[str], action: RetryAction, reason: str) -> None:
        super().__init__(["grpc.RpcError"], action, reason)
        self._codes = frozenset(codes)

    def matches(self, exc: BaseException) -> bool:
        """Whether it is an error of gRPC that has one of the codes; one that tells none has not."""
        code = getattr(exc, "code", None)
        return super().matches(exc) and callable(code) and getattr(code(), "name", None) in self._codes


#: Of every task. What no rule fits is tried again as often as the task says: nobody knows what it is.
RETRY_POLICY = ExceptionRetryPolicy(
    [
        NamedRule(REPLACED, RetryAction.RETRY, "Another try reads the shard that was written in place of this one."),
        NamedRule(STAYS, RetryAction.FAIL, "Settings, data and weights stay as they are, however often it is tried."),
        NamedRule(OUT_OF_MEMORY, RetryAction.FAIL, "Another try would need as much memory."),
        NamedRule(PASSES, RetryAction.RETRY, "The store or the model server may answer later."),
        NamedRule(NETWORK, RetryAction.RETRY, "The network may work later."),
        GrpcRule(GRPC_PASSES, RetryAction.RETRY, "The server may answer later."),
    ]
)
