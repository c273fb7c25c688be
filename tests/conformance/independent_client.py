"""``python independent_client.py GRPC_TARGET HTTP_TARGET``: what ovmsclient gets from a server, as JSON.

In a process of its own, since it brings TensorFlow Serving's messages along, which can be registered only once.
"""

import json
import sys

import numpy as np
from ovmsclient import make_grpc_client, make_http_client


def ask(client):
    """Predictions, metadata, states and errors."""
    add = {"x": np.float32([[1, 2]]), "n": np.int64([3])}
    return {
        "numbers": np.asarray(client.predict({"x": np.float32([2, 4])}, "several", 3)).tolist(),
        "status": {str(version): state["state"] for version, state in client.get_model_status("several", 3).items()},
        "metadata": client.get_model_metadata("several", 3),
        "errors": {
            "version": error_of(lambda: client.predict({"x": np.float32([1])}, "several", 9)),
            "no version": error_of(lambda: client.predict({"x": np.float32([1])}, "several")),
            "model": error_of(lambda: client.get_model_status("nobody", 1)),
            "inputs": error_of(lambda: client.predict(add, "several", 3)),
        },
    }


def error_of(call):
    """The class of the client's error."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - its class is what is asked for
        return type(error).__name__
    return None


grpc_target, http_target = sys.argv[1:]
answers = {"grpc": ask(make_grpc_client(grpc_target)), "http": ask(make_http_client(http_target))}
sys.stdout.write(json.dumps(answers))
