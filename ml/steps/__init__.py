"""One module a pipeline task, in pipeline order.

``ingest_images``: ingest, describe, validate, publish_snapshot. ``retrain``: split, extract, train, evaluate, examine,
gate, review_labels, approve, publish, canary, promote, watch, report. ``rollback``: roll_back. Each is a function of a
context and small references, and returns a small reference.
"""
