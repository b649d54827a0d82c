"""One bucket: lists, reads, writes and deletes objects, with retries and conditional writes.

This module knows nothing of what the objects are for. All errors of the client library become BucketError in
one function. Conditions are used on small objects only: servers do not apply them to multipart uploads when
several instances write at once.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from ..core.errors import DerlemError, MissingExtra
from .places import BucketPlace

log = logging.getLogger("derlem.sync")

ATTEMPTS = 6
"""Attempts of a request that fails for a transient reason, each with the client's own retries."""
MAX_BACKOFF = 8.0
CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0

_TRANSIENT = {
    *("SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "RequestTimeTooSkewed"),
    *("Throttling", "ThrottlingException", "RequestLimitExceeded", "BadDigest", "IncompleteBody"),
    *("500", "502", "503", "504", "429"),
}
_CONDITION = {"PreconditionFailed", "ConditionalRequestConflict", "OperationAborted", "412", "409"}
_MISSING = {"NoSuchKey", "NoSuchUpload", "NotFound", "404"}

T = TypeVar("T")


class BucketError(DerlemError):
    """A request to a bucket failed; `transient` errors can be repeated."""

    def __init__(self, place: BucketPlace, action: str, why: str, *, code: str = "", transient: bool) -> None:
        self.place, self.action, self.code, self.transient = place, action, code, transient
        super().__init__(f"{place}: {action}: {why}")


class ConditionFailed(BucketError):
    """Another instance wrote the object first."""


class ObjectMissing(BucketError):
    """There is no such object."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An object in a listing; `name` is relative to the place."""

    name: str
    size: int
    etag: str
    modified: datetime


@dataclass(frozen=True, slots=True)
class Stored:
    """An object with its content; `age` are the seconds since its last write, by the server's clock."""

    data: bytes
    etag: str
    metadata: Mapping[str, str]
    age: float


@dataclass(frozen=True, slots=True)
class Encryption:
    """Server-side encryption of new objects: `AES256`, or `aws:kms` with a key."""

    kind: str
    kms_key: str | None = None


class Bucket:
    """A place in a bucket. Names of objects are relative to its prefix. Threads may share an instance.

    `stop` ends waiting between attempts: after it is set, each request is tried once.
    """

    def __init__(
        self,
        place: BucketPlace,
        *,
        endpoint_url: str | None = None,
        region: str | None = None,
        encryption: Encryption | None = None,
        read_seconds: float = READ_SECONDS,
        connections: int = 16,
        stop: threading.Event | None = None,
    ) -> None:
        self.place = place
        self.stop = stop or threading.Event()
        self._own_endpoint = endpoint_url is not None
        self._encryption = encryption
        self._unquoted = False
        self.client: Any = _client(place, endpoint_url, region, read_seconds, connections)

    # -- reads ----------------------------------------------------------------------------------------------

    def read(self, name: str) -> Stored | None:
        """Return a small object; None if it is missing."""

        def get() -> Stored:
            answer = self.client.get_object(Bucket=self.place.bucket, Key=self.place.key(name))
            with answer["Body"] as body:
                data = body.read()
            served = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
            now = parsedate_to_datetime(served) if served else datetime.now(UTC)
            age = (now - answer["LastModified"]).total_seconds()
            return Stored(data, answer["ETag"], answer.get("Metadata", {}), age)

        try:
            return self.call(f"read {name}", get)
        except ObjectMissing:
            return None

    def read_range(self, name: str, start: int, length: int, etag: str | None = None) -> bytes:
        """Return `length` bytes from `start`; with `etag`, ConditionFailed if the object was replaced."""
        condition = {} if etag is None else {"IfMatch": etag}

        def get() -> bytes:
            answer = self.client.get_object(
                Bucket=self.place.bucket,
                Key=self.place.key(name),
                Range=f"bytes={start}-{start + length - 1}",
                **condition,
            )
            with answer["Body"] as body:
                data: bytes = body.read()
            if len(data) != length:
                why = f"{len(data)} bytes instead of {length}"
                raise BucketError(self.place, f"read {name}", why, transient=True)
            return data

        return self.call(f"read {name}", get)

    def list(self, prefix: str = "", after: str = "") -> Iterator[Listed]:
        """Yield the objects whose names start with `prefix`, in order of names, after the name `after`."""
        options: dict[str, Any] = {"StartAfter": self.place.key(after)} if after else {}
        while True:
            page = self.call(
                f"list {prefix}",
                lambda: self.client.list_objects_v2(
                    Bucket=self.place.bucket,
                    Prefix=self.place.key(prefix),
                    **options,  # noqa: B023 - called at once
                ),
            )
            for entry in page.get("Contents", ()):
                name = self.place.name(entry["Key"])
                yield Listed(name, entry["Size"], entry["ETag"], entry["LastModified"])
            if not page.get("IsTruncated"):
                return
            options = {"ContinuationToken": page["NextContinuationToken"]}

    # -- writes ---------------------------------------------------------------------------------------------

    def write(self, name: str, data: bytes, metadata: Mapping[str, str] | None = None) -> str:
        """Write an object in one request and return its ETag."""
        return self._put(name, data, metadata or {}, {})

    def create(self, name: str, data: bytes) -> str:
        """Write an object that must not exist; ConditionFailed if it does with another content."""
        return self._put_if(name, data, None)

    def swap(self, name: str, data: bytes, etag: str) -> str:
        """Replace the object of this ETag; ConditionFailed if another one is there, or none.

        The content must differ from every earlier content, since equal contents have equal ETags.
        """
        return self._put_if(name, data, etag)

    def _put_if(self, name: str, data: bytes, etag: str | None) -> str:
        attempts = ATTEMPTS
        while True:
            if etag is None:
                condition = {"IfNoneMatch": "*"}
            else:
                condition = {"IfMatch": etag.strip('"') if self._unquoted else etag}
            try:
                return self._put(name, data, {}, condition)
            except (ConditionFailed, ObjectMissing) as error:
                attempts -= 1
                current = self.read(name)
                if current is not None and current.data == data:
                    return current.etag  # an earlier attempt succeeded, and its answer was lost
                holds = current is None if etag is None else current is not None and current.etag == etag
                if not holds or not attempts:
                    raise ConditionFailed(
                        self.place, f"write {name}", "another instance wrote it first", transient=False
                    ) from error
                if error.code in ("PreconditionFailed", "412") and etag is not None:
                    self._unquoted = not self._unquoted  # some servers compare ETags without quotes
                self.stop.wait(random.uniform(0.05, 0.2))

    def _put(self, name: str, data: bytes, metadata: Mapping[str, str], condition: Mapping[str, str]) -> str:
        def put() -> str:
            answer = self.client.put_object(
                Bucket=self.place.bucket,
                Key=self.place.key(name),
                Body=data,
                Metadata=dict(metadata),
                **condition,
                **self.checksum(data),
                **self.encryption,
            )
            etag: str = answer["ETag"]
            return etag

        return self.call(f"write {name}", put)

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; a missing one is no error."""
        remaining = [{"Key": self.place.key(name)} for name in names]
        while remaining:
            batch, remaining = remaining[:1000], remaining[1000:]
            answer = self.call(
                "delete",
                lambda: self.client.delete_objects(
                    Bucket=self.place.bucket,
                    Delete={"Objects": batch, "Quiet": True},  # noqa: B023 - called at once
                ),
            )
            for failed in answer.get("Errors", ()):
                why = f"{failed.get('Key')}: {failed.get('Message') or failed.get('Code')}"
                raise BucketError(self.place, "delete", why, code=failed.get("Code", ""), transient=True)

    def versioned(self) -> bool:
        """Whether the bucket keeps old versions of deleted objects."""
        answer = self.call("versioning", lambda: self.client.get_bucket_versioning(Bucket=self.place.bucket))
        return answer.get("Status") in ("Enabled", "Suspended")

    # -- requests -------------------------------------------------------------------------------------------

    @property
    def encryption(self) -> dict[str, str]:
        """Arguments of requests that create objects."""
        if self._encryption is None:
            return {}
        arguments = {"ServerSideEncryption": self._encryption.kind}
        if self._encryption.kms_key is not None:
            arguments["SSEKMSKeyId"] = self._encryption.kms_key
        return arguments

    def checksum(self, data: bytes) -> dict[str, str]:
        """Arguments by which a server other than Amazon's verifies a body; boto3 sends a CRC to Amazon's."""
        if not self._own_endpoint:
            return {}
        digest = hashlib.md5(data, usedforsecurity=False).digest()
        return {"ContentMD5": base64.b64encode(digest).decode()}

    def call(self, action: str, request: Callable[[], T]) -> T:
        """Return the result of a request; repeat it after transient errors. Raises BucketError."""
        for attempt in range(ATTEMPTS):
            try:
                return request()
            except Exception as error:
                mapped = error if isinstance(error, BucketError) else self._mapped(action, error)
                if not mapped.transient or attempt == ATTEMPTS - 1 or self.stop.is_set():
                    if mapped is error:
                        raise
                    raise mapped from error
                log.info("attempt %d of %d: %s", attempt + 1, ATTEMPTS, mapped)
            self.stop.wait(min(MAX_BACKOFF, 0.1 * 2**attempt) * random.uniform(0.5, 1.5))
        raise AssertionError("the last attempt returns or raises")

    def _mapped(self, action: str, error: Exception) -> BucketError:
        """Return the BucketError of an exception of the client library; raises other exceptions again."""
        from botocore import exceptions
        from urllib3.exceptions import HTTPError

        if isinstance(error, exceptions.ClientError):
            code = str(error.response.get("Error", {}).get("Code", ""))
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            message = str(error.response.get("Error", {}).get("Message") or "")
            why = " ".join(part for part in (code, message) if part)
            found: type[BucketError] = BucketError
            if code in _CONDITION or status == 412:
                found = ConditionFailed
            elif code in _MISSING:
                found = ObjectMissing
            transient = found is BucketError and (code in _TRANSIENT or status >= 500)
            return found(self.place, action, why, code=code, transient=transient)
        if isinstance(error, (exceptions.NoCredentialsError, exceptions.PartialCredentialsError)):
            why = "no credentials were found (environment, profile or role of the instance)"
            return BucketError(self.place, action, why, transient=False)
        if isinstance(error, (exceptions.ConnectionError, exceptions.HTTPClientError, HTTPError, OSError)):
            return BucketError(self.place, action, _first_line(error), transient=True)
        if isinstance(error, exceptions.ResponseStreamingError | exceptions.IncompleteReadError):
            return BucketError(self.place, action, _first_line(error), transient=True)
        if isinstance(error, exceptions.BotoCoreError):
            return BucketError(self.place, action, _first_line(error), transient=False)
        raise error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _client(
    place: BucketPlace, endpoint_url: str | None, region: str | None, read_seconds: float, connections: int
) -> Any:
    """Return a client of boto3. Raises MissingExtra, and BucketError for a wrong profile or endpoint."""
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ModuleNotFoundError as error:
        raise MissingExtra("a place s3://", "s3") from error
    options: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": read_seconds,
        "max_pool_connections": connections,
        "retries": {"mode": "standard", "total_max_attempts": 2},
        "user_agent_appid": "derlem",
    }
    if endpoint_url is not None:  # other servers do not know the checksums that boto3 adds by default
        options |= {
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
            "s3": {"addressing_style": "path"},
        }
    try:
        session = boto3.session.Session(region_name=region)
        return session.client("s3", endpoint_url=endpoint_url, config=Config(**options))
    except (BotoCoreError, ValueError) as error:
        raise BucketError(place, "connect", _first_line(error), transient=False) from error
