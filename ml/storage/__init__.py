"""One small interface to the object store, with a folder and S3 behind it."""

from ml.storage.base import ObjectInfo, Store, dump_json, find_json, put_in_batches, put_once, read_json, validate_key
from ml.storage.factory import open_store

__all__ = [
    "ObjectInfo",
    "Store",
    "dump_json",
    "find_json",
    "open_store",
    "put_in_batches",
    "put_once",
    "read_json",
    "validate_key",
]
