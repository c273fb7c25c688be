"""Clients of a model server, TensorFlow Serving or the local one, over gRPC and REST, blocking and awaited.

All answer alike::

    with GrpcClient("127.0.0.1", 8500, "classifier", label="stable") as client:
        for answer in client.predict(["slice.png", png_bytes, picture, pixels]):
            print(answer.class_name if answer.ok else answer.status)
"""

from serving.client._answers import (
    OK,
    UNDECODABLE,
    Explanation,
    ModelMetadata,
    Prediction,
    Signature,
    TensorDescription,
    VersionStatus,
)
from serving.client._base import AnswerLog, AsyncClient, Client
from serving.client._errors import (
    CallError,
    DeadlineExceededError,
    InvalidRequestError,
    ModelNotFoundError,
    OverloadedError,
    ServerFaultError,
    UnavailableError,
    UnexpectedAnswerError,
)
from serving.client._grpc import AsyncGrpcClient, GrpcClient
from serving.client._images import Image, Images
from serving.client._rest import AsyncRestClient, RestClient

__all__ = [
    "OK",
    "UNDECODABLE",
    "AnswerLog",
    "AsyncClient",
    "AsyncGrpcClient",
    "AsyncRestClient",
    "CallError",
    "Client",
    "DeadlineExceededError",
    "Explanation",
    "GrpcClient",
    "Image",
    "Images",
    "InvalidRequestError",
    "ModelMetadata",
    "ModelNotFoundError",
    "OverloadedError",
    "Prediction",
    "RestClient",
    "ServerFaultError",
    "Signature",
    "TensorDescription",
    "UnavailableError",
    "UnexpectedAnswerError",
    "VersionStatus",
]
