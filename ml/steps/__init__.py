"""One module a pipeline task, in pipeline order.

``ingest_images``: ingest, describe, validate, publish_snapshot. ``retrain``: split, extract, train, evaluate, examine,
gate, review_labels, approve, promote, report. Each is a function of a context and small references, and returns a small
reference.
"""
