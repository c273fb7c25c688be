"""What a call may end with, a class for each kind."""

from __future__ import annotations

from ml.errors import ServingError

__all__ = [
    "CallError",
    "DeadlineExceededError",
    "InvalidRequestError",
    "ModelNotFoundError",
    "OverloadedError",
    "ServerFaultError",
    "UnavailableError",
    "UnexpectedAnswerError",
    "call_error",
]

NO_ANSWER = "Is the model server up? See `make status`."
#: What the server says of a label that names no version of the model.
NO_LABEL = "unrecognized servable version label"


class CallError(ServingError):
    """A call that failed.

    Args:
        message: what is wrong, naming the value.
        remedy: what to do about it.
        code: the protocol's, by gRPC's name, for REST too.
    """

    def __init__(self, message: str, remedy: str = "", code: str = "UNKNOWN") -> None:
        super().__init__(message, remedy)
        self.code = code


class InvalidRequestError(CallError):
    """The request is wrong and will be wrong again: INVALID_ARGUMENT, FAILED_PRECONDITION."""

    def __init__(self, message: str, remedy: str = "", code: str = "INVALID_ARGUMENT") -> None:
        super().__init__(message, remedy, code)


class ModelNotFoundError(CallError):
    """The server has no such model, version or label now."""


class DeadlineExceededError(CallError):
    """No answer within the call's time, retries included."""


class UnavailableError(CallError):
    """The server cannot be reached or takes no requests for now; the only error that is tried again."""


class OverloadedError(CallError):
    """The server or a limit of it refused the load: RESOURCE_EXHAUSTED."""


class ServerFaultError(CallError):
    """The server failed, with any other code."""


class UnexpectedAnswerError(CallError):
    """An answer came that no model of this project gives."""


KINDS: dict[str, tuple[type[CallError], str]] = {
    "INVALID_ARGUMENT": (
        InvalidRequestError,
        "Send JPEG or PNG images, or float images of the model's own size, to a model of this project.",
    ),
    "FAILED_PRECONDITION": (InvalidRequestError, "Ask a model of this project, of today's export."),
    "NOT_FOUND": (
        ModelNotFoundError,
        "Has a version of this model been published and loaded? See `make status`.",
    ),
    "DEADLINE_EXCEEDED": (
        DeadlineExceededError,
        "Send fewer images at a time, raise `serving.timeout_seconds`, or see what loads the server.",
    ),
    "RESOURCE_EXHAUSTED": (OverloadedError, "Send fewer images at a time."),
    "UNAVAILABLE": (UnavailableError, NO_ANSWER),
}


def call_error(address: str, code: str, details: str) -> CallError:
    """The error for a call that failed with one of the protocol's codes, with what to do about that code."""
    if NO_LABEL in details.lower():
        return ModelNotFoundError(
            f"{address}: {code}: {details}",
            "Promote a version, which gives it the label; or ask a version; or set `serving.label: null` for a "
            "server that knows no labels, as with --model_base_path.",
            code,
        )
    kind, remedy = KINDS.get(code, (ServerFaultError, "See the model server's log."))
    return kind(f"{address}: {code}: {details}", remedy, code)
