"""Errors as TensorFlow Serving reports them: one code for gRPC, another for HTTP."""

from __future__ import annotations

import re
from enum import IntEnum

__all__ = ["Code", "StatusError", "graph_error"]

#: What the Python runtime puts around a graph's own message.
PREAMBLE = re.compile(r"Graph execution error:.*<stack traces unavailable>\s*", re.DOTALL)
MISSING = "No such file or directory"
OPERATION = re.compile(r"\s*\[Op:\w+\]\s*$")


class Code(IntEnum):
    """Status codes that gRPC and TensorFlow share."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


HTTP_STATUS = {
    Code.OK: 200,
    Code.INVALID_ARGUMENT: 400,
    Code.FAILED_PRECONDITION: 400,
    Code.OUT_OF_RANGE: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.ABORTED: 409,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.CANCELLED: 499,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
}


class StatusError(Exception):
    """An answer that is an error."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def http_status(self) -> int:
        """500 for the codes that have no better one."""
        return HTTP_STATUS.get(self.code, 500)


def graph_error(code: int, message: str) -> StatusError:
    """A ``tf.errors.OpError`` as an answer, with the reason alone."""
    # The checkpoint reader passes a missing file's code on in the text alone.
    missing = code == Code.UNKNOWN and message.endswith(MISSING)
    text = OPERATION.sub("", PREAMBLE.sub("", message)).replace("\n\t", "")
    return StatusError(Code.NOT_FOUND if missing else Code(code), text)
