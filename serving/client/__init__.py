"""Clients of a model server, TensorFlow Serving or the local one, over gRPC and REST.

Both answer alike::

    with GrpcClient("127.0.0.1", 8500, "classifier") as client:
        for answer in client.predict([path.read_bytes() for path in images]):
            ...
"""

from serving.client._answers import ModelMetadata, Prediction, Signature, TensorDescription, VersionStatus
from serving.client._grpc import GrpcClient
from serving.client._rest import RestClient

__all__ = [
    "GrpcClient",
    "ModelMetadata",
    "Prediction",
    "RestClient",
    "Signature",
    "TensorDescription",
    "VersionStatus",
]
