"""Classify and regress: what a model without such signatures answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.server.status import Code, StatusError

if TYPE_CHECKING:
    from serving.server.model import LoadedModel

__all__ = ["refuse_examples"]


def refuse_examples(model: LoadedModel, signature: str, verb: str) -> StatusError:
    """The error for a classify or regress request.

    A Keras export has no signature for either, which TensorFlow Serving reports as INVALID_ARGUMENT (or
    FAILED_PRECONDITION when the signature does not exist). For a model that does have one this server says
    UNIMPLEMENTED.
    """
    try:
        method = model.signature(signature).method_name
    except StatusError as error:
        return error
    if method != f"tensorflow/serving/{verb}":
        return StatusError(
            Code.INVALID_ARGUMENT,
            f'The signature "{signature}" is for {method or "no method"}, not for tensorflow/serving/{verb}',
        )
    return StatusError(Code.UNIMPLEMENTED, f"This server does not {verb}; use predict, or TensorFlow Serving")
