"""What both gRPC services share: from an answer or an error to the call's status."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import grpc

from serving.server.status import Code, StatusError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["answer", "check_spec", "spec_version"]

log = logging.getLogger(__name__)

MAX_ERROR_CHARACTERS = 1024
STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}


def answer(context: grpc.ServicerContext, work: Callable[[], Any]) -> Any:
    """Do a call's work; an error becomes its status and cuts the text at 1,024 characters."""
    if not context.is_active():
        # Its deadline passed in the queue: nobody would read the answer.
        context.abort(grpc.StatusCode.CANCELLED, "The request was given up before it could run")
    try:
        return work()
    except StatusError as error:
        context.abort(STATUS_CODES[int(error.code)], _cut(error.message))
    except Exception as error:
        log.exception("a gRPC request failed")
        context.abort(grpc.StatusCode.INTERNAL, _cut(f"{type(error).__name__}: {error}"))


def check_spec(spec: Any) -> None:
    """Refuse a ``ModelSpec`` that names no model.

    Raises:
        StatusError: INVALID_ARGUMENT.
    """
    if not spec.ByteSize():
        raise StatusError(Code.INVALID_ARGUMENT, "Missing ModelSpec")
    if not spec.name:
        raise StatusError(Code.INVALID_ARGUMENT, "ModelSpec has no name specified.")


def spec_version(spec: Any) -> int | None:
    """The version that a ``ModelSpec`` gives by number."""
    return int(spec.version.value) if spec.HasField("version") else None


def _cut(message: str) -> str:
    return message if len(message) <= MAX_ERROR_CHARACTERS else message[:MAX_ERROR_CHARACTERS] + "...TRUNCATED"
