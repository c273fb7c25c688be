"""A model server for laptops and tests that speaks TensorFlow Serving's protocol.

Production is TensorFlow Serving itself. This one answers as that does, over gRPC and REST, and starts with its flags
and files: predict, classify, regress, status and metadata; batches and metrics; several models by a model config file,
with version policies and labels;
new versions before old ones, warm-up inside the load; another configuration while it runs, over gRPC or from the file.

``python -m serving.server --model_name=NAME --model_base_path=DIR --port=8500 --rest_api_port=8501`` starts it;
``docs/model-server.md`` is its manual. Where it differs on purpose:

- it listens on 127.0.0.1 unless ``--host`` says otherwise, TensorFlow Serving on every interface;
- ``--no-wait_for_model`` opens the ports before there is a version, and requests get NOT_FOUND until one is loaded;
- an input whose shape is not its signature's is refused, where TensorFlow Serving leaves that to the graph;
- a version whose ``variables.index`` is missing fails to load, where TensorFlow Serving would serve it and fail every
  request;
- a reload that waits for a new model keeps neither later reloads nor the model config file waiting, and ends with its
  caller's deadline; where TensorFlow Serving has no limit, a quarter of the gRPC threads may wait so at a time;
- requests are bounded in size, number and time, and memory with them: see :mod:`serving.server.limits`;
- when a batch fails its requests run one by one, and one whose time passed in the queue gets DEADLINE_EXCEEDED, where
  TensorFlow Serving fails them all, the second with RESOURCE_EXHAUSTED;
- MultiInference runs one signature after the other, TensorFlow Serving all at once;
- what would encrypt is refused (``--ssl_config_file``, ``--use_alts_credentials``): a proxy does that.
"""
