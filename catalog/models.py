"""Data exchanged between rooms: items, payloads and failures.

The files in `sql/schema/` define the tables; adapters and stages use these classes.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from .status import Reason, Status

Message = dict[str, str]
"""One turn of a conversation: {"role": "user" | "assistant" | "system", "content": text with `<image>`}."""


def now() -> datetime:
    """Return the current time in the catalog's form: UTC, without a zone, in microseconds."""
    return datetime.now(UTC).replace(tzinfo=None)


def item_id(source: str, uri: str, locator: str = "") -> str:
    """Return the identity of an item: 32 hex digits, the first 16 bytes of sha256 over its address.

    The parts are joined by NUL, which neither a source name nor a uri may contain, so that different
    addresses give different texts.
    """
    if "\0" in source or "\0" in uri:
        raise ValueError("a source name or uri with a NUL byte has no identity")
    return hashlib.sha256(f"{source}\0{uri}\0{locator}".encode()).hexdigest()[:32]


@lru_cache(maxsize=2**14)  # millions of items share few paths
def category_path(*parts: str) -> str:
    """Join parts into a category path 'a/b/c': NFC, stripped, no empty parts, no `.` or `..`.

    A part may contain slashes. The path of no parts is `''`, the root.
    """
    steps = (step.strip() for part in parts for step in unicodedata.normalize("NFC", part).split("/"))
    return "/".join(step for step in steps if step not in ("", ".", ".."))


def clean_text(text: str) -> str:
    """Return a caption in the catalog's form: NFC, no NUL, line ends as `\\n` and none at the edges.

    Spaces are kept, since a caption is its publisher's text. A caption of white space only becomes ''.
    """
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = text.replace("\0", "").strip("\n")
    return text if text.strip() else ""


def images_sha256(digests: Sequence[str]) -> str:
    """Return the hash (64 hex digits) of a record's images from the hashes of each, in order.

    The hash of one image is the image's own; that of several is the sha256 of their hashes, joined.
    """
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


@dataclass(slots=True)
class MoreImage:
    """An image of a record after its first: the image columns of `items`."""

    media_type: str
    sha256: str
    original_sha256: str
    dhash: str
    width: int
    height: int
    bytes: int
    offset: int
    length: int


@dataclass(slots=True)
class Item:
    """One item: a row of the catalog's table `items`, without the name of its segment.

    An adapter sets the fields up to `reason` that its listing contains:

    - `uri` is relative to the source's root, or a URL. `locator` identifies a part of the uri's content
      (member, row, page).
    - `locator_state` is the adapter's private data for reading the item again (an offset, a row group).
    - `partition_key` groups items that one worker reads in one pass (a compressed archive, a host). Items
      that can be read separately have ''.
    - `document_sha256` is set for pages of a PDF only, and identifies the document's bytes in the cache.
    - `revision` identifies the state of the content that `read` reads (image and sidecars), from cheap data
      of the listing: a size and time, a hash, a commit. An item whose revision differs from the catalog's is
      read again. The revision is '' if `uri` and `locator` identify immutable content.
    - `images` is the number of images of the record. `captions` has all captions if there are several, and
      `caption` is the first.
    - An item with a `reason` has its final status at discovery and is not read; `meta["detail"]` explains the
      reason to users.

    The stages of the pipeline set the other fields; `sql/schema/` describes each column.
    """

    source: str
    uri: str
    locator: str = ""
    category: str = ""
    media_type: str | None = None
    bytes: int | None = None
    caption: str | None = None
    captions: list[str] | None = None
    images: int = 1
    conversations: list[Message] | None = None
    language: str | None = None
    license: str | None = None
    parent_id: str | None = None
    document_sha256: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    locator_state: dict[str, Any] = field(default_factory=dict)
    partition_key: str = ""
    revision: str = ""
    reason: Reason | None = None
    item_id: str = ""

    record_hash: str = ""
    image_revision: str | None = None
    options_hash: str = ""
    ordinal: int = 0
    status: Status = Status.DISCOVERED
    detail: str | None = None
    attempts: int = 0
    sha256: str | None = None
    first_sha256: str | None = None
    original_sha256: str | None = None
    dhash: str | None = None
    width: int | None = None
    height: int | None = None
    offset: int | None = None
    length: int | None = None
    more_images: list[MoreImage] | None = None
    run: str = ""
    discovered_at: datetime | None = None
    updated_at: datetime | None = None

    def __post_init__(self) -> None:
        if not self.item_id:
            self.item_id = item_id(self.source, self.uri, self.locator)


@dataclass(slots=True)
class Payload:
    """The bytes of an item in its source, and data from reading them.

    `more` are the bytes of the record's images after the first, in order.
    `updates` are columns of the item (caption, conversations, language, license, category); `meta` is
    merged into the item's own (evidence: final URL, validators, opt-out signals with their time).
    `revision` is that of what was read, from an adapter that reads all texts of an item with its image.
    """

    data: bytes
    updates: Mapping[str, Any] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    revision: str | None = None
    more: Sequence[bytes] = ()


@dataclass(slots=True)
class Failure:
    """The failure to read an item: a reason code, a detail for users, and evidence for `meta`."""

    reason: Reason
    detail: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)


class Rejected(Exception):
    """A payload that cannot become a sample; raised by normalization and rasterization."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
