"""A store behind the S3 API."""

from __future__ import annotations

import hashlib
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from boto3.exceptions import RetriesExceededError, S3UploadFailedError
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from ml.errors import AlreadyExistsError, ConfigError, ConflictError, NotFoundError, StoreError
from ml.storage.base import ObjectInfo, put_once, replacing, validate_key
from ml.storage.copies import LocalCopies

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ml.config import StoreSettings

__all__ = ["S3Store"]

MISSING = {"404", "NoSuchKey", "NotFound"}
#: 412 is a failed condition; AWS answers 409 when two conditional writes meet.
CONFLICT = {"412", "PreconditionFailed", "409", "ConditionalRequestConflict"}
#: Writes under way at once; boto3 keeps ten connections.
WRITERS = 8
FORBIDDEN = {"401", "403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"}


class S3Store:
    """Objects in a bucket below a prefix; credentials come from boto3's usual places."""

    def __init__(self, bucket: str, prefix: str, settings: StoreSettings) -> None:
        self._bucket = bucket
        self._base = f"{prefix}/" if prefix else ""
        self._endpoint = settings.endpoint_url or "AWS"
        self._copies = LocalCopies(int(settings.cache_limit_gib * 2**30))
        try:
            self._client = boto3.client(
                "s3", endpoint_url=settings.endpoint_url, region_name=settings.region, config=_config(settings)
            )
        except ValueError as error:
            raise ConfigError(
                f"store.endpoint_url = '{settings.endpoint_url}' is no address: {error}.",
                "Write it as http://host:port, or null for AWS.",
            ) from error

    @property
    def url(self) -> str:
        return f"s3://{self._bucket}/{self._base}".rstrip("/")

    def uri(self, key: str) -> str:
        return f"{self.url}/{key}"

    def get(self, key: str) -> bytes:
        return self.get_with_etag(key)[0]

    def get_with_etag(self, key: str) -> tuple[bytes, str]:
        with self._translated(key):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key(key))
            return answer["Body"].read(), _unquoted(answer["ETag"])

    def put(self, key: str, data: bytes) -> str:
        return self._put(key, data)

    def put_if_absent(self, key: str, data: bytes) -> str:
        try:
            return self._put(key, data, IfNoneMatch="*")
        except ConflictError as error:
            raise AlreadyExistsError(f"There is an object at {self.uri(key)} already.") from error

    def put_all_once(self, objects: Mapping[str, bytes]) -> None:
        with ThreadPoolExecutor(WRITERS, thread_name_prefix="put") as pool:
            list(pool.map(lambda item: put_once(self, *item), objects.items()))

    def put_if_match(self, key: str, data: bytes, etag: str) -> str:
        try:
            return self._put(key, data, IfMatch=etag)
        except NotFoundError as error:
            raise ConflictError(f"{self.uri(key)} is gone.", "Read it again and repeat.") from error

    def head(self, key: str) -> ObjectInfo | None:
        try:
            with self._translated(key):
                answer = self._client.head_object(Bucket=self._bucket, Key=self._key(key))
        except NotFoundError:
            return None
        return ObjectInfo(key, answer["ContentLength"], _unquoted(answer["ETag"]), answer["LastModified"])

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._base + prefix)
        with self._translated(prefix):
            for page in pages:
                for item in page.get("Contents", []):
                    if item["Key"].endswith("/") and not item["Size"]:
                        continue  # what consoles make to show a folder
                    key = item["Key"].removeprefix(self._base)
                    yield ObjectInfo(key, item["Size"], _unquoted(item["ETag"]), item["LastModified"])

    def delete(self, key: str) -> None:
        with self._translated(key):
            self._client.delete_object(Bucket=self._bucket, Key=self._key(key))

    def delete_if_match(self, key: str, etag: str) -> None:
        with suppress(NotFoundError), self._translated(key):
            self._client.delete_object(Bucket=self._bucket, Key=self._key(key), IfMatch=etag)

    def deletes_conditionally(self) -> bool:
        probe = f"probes/{uuid.uuid4().hex}"
        self.put(probe, b"")
        try:
            self.delete_if_match(probe, "0" * 32)
        except ConflictError:
            return True
        finally:
            self.delete(probe)
        return False

    def upload(self, path: Path, key: str) -> None:
        with self._translated(key):
            self._client.upload_file(str(path), self._bucket, self._new_key(key))

    def download(self, key: str, path: Path) -> None:
        with self._translated(key), replacing(path) as temporary:
            self._client.download_file(self._bucket, self._key(key), str(temporary))

    def materialize(self, key: str, directory: Path) -> Path:
        path = self._copy(key, directory)
        there = self.head(key)
        if there is None:
            raise NotFoundError(f"There is no object {self.uri(key)}.")
        if not path.is_file() or path.stat().st_size != there.size:
            self._copies.make_room(path, there.size)
            self.download(key, path)
        self._copies.use(path)
        return path

    def discard(self, key: str, directory: Path) -> None:
        self._copy(key, directory).unlink(missing_ok=True)

    def _copy(self, key: str, directory: Path) -> Path:
        name = hashlib.sha256(self.uri(key).encode()).hexdigest()[:24]
        return Path(directory) / f"{name}-{key.rsplit('/', 1)[-1][-100:]}"

    def _key(self, key: str) -> str:
        if not key:
            validate_key(key)
        return self._base + key

    def _new_key(self, key: str) -> str:
        validate_key(key)
        return self._base + key

    def _put(self, key: str, data: bytes, **condition: str) -> str:
        with self._translated(key):
            answer = self._client.put_object(Bucket=self._bucket, Key=self._new_key(key), Body=data, **condition)  # type: ignore[arg-type]
            return _unquoted(answer["ETag"])

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise self._refused(key, error) from error
        except S3UploadFailedError as error:
            raise StoreError(f"{self.uri(key)} cannot be written: {error}.", "See the store's log.") from error
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise StoreError(f"There are no credentials for {self.url}.", "Set AWS_ACCESS_KEY_ID and so on.") from error
        except (BotoCoreError, RetriesExceededError) as error:
            raise StoreError(
                f"The object store at {self._endpoint} does not answer: {error}.",
                "Check that it runs, and `store.endpoint_url`.",
            ) from error

    def _refused(self, key: str, error: ClientError) -> StoreError:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code == "NoSuchBucket":
            return StoreError(
                f"There is no bucket '{self._bucket}' at {self._endpoint}.", "Make it, or mend `store.url`."
            )
        if code in MISSING:
            return NotFoundError(f"There is no object {self.uri(key)}.")
        if code in CONFLICT:
            return ConflictError(f"{self.uri(key)} has changed meanwhile.", "Read it again and repeat.")
        if code in FORBIDDEN:
            return StoreError(f"{self._endpoint} refuses access to {self.uri(key)} ({code}).", "Check the credentials.")
        return StoreError(f"{self._endpoint} refuses {self.uri(key)}: {error}.", "See the store's log.")


def _config(settings: StoreSettings) -> Config:
    return Config(
        connect_timeout=settings.connect_timeout_seconds,
        read_timeout=settings.read_timeout_seconds,
        retries={"total_max_attempts": settings.max_attempts, "mode": "standard"},
        max_pool_connections=32,
        s3={"addressing_style": "path" if settings.endpoint_url else "auto"},
        # Checksums that AWS adds by default are refused by several other servers.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


def _unquoted(etag: Any) -> str:
    return str(etag).strip('"')
