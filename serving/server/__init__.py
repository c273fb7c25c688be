"""A model server for laptops and tests that speaks TensorFlow Serving's protocol.

Production is TensorFlow Serving itself. What is implemented here answers as that does: predict, status and metadata
over gRPC and REST, version discovery with the policy ``latest``, new versions before old ones, warm-up inside the load.

``python -m serving.server --model_name=NAME --model_base_path=DIR --port=8500 --rest_api_port=8501`` starts it; its
flags are tensorflow_model_server's. Where it differs on purpose:

- it listens on 127.0.0.1 unless ``--host`` says otherwise, TensorFlow Serving on every interface;
- ``--no-wait_for_model`` opens the ports before there is a version, and requests get NOT_FOUND until one is loaded;
- an input whose shape is not its signature's is refused, where TensorFlow Serving leaves that to the graph;
- a version whose ``variables.index`` is missing fails to load, where TensorFlow Serving would serve it and fail every
  request.
"""
