"""The vocabulary of outcomes: statuses, the moves between them, and the reason codes."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Where an item stands."""

    DISCOVERED = "discovered"  # known, its payload not yet read
    READY = "ready"  # normalised, its bytes lie in a segment
    EXPANDED = "expanded"  # a document whose pages became items of their own
    REJECTED = "rejected"  # final; the reason code says why
    FAILED = "failed"  # transient; `retry` takes it up again
    WITHDRAWN = "withdrawn"  # taken down; never sampled again


TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.DISCOVERED: frozenset(
        {Status.READY, Status.EXPANDED, Status.REJECTED, Status.FAILED, Status.WITHDRAWN}
    ),
    Status.READY: frozenset({Status.WITHDRAWN}),
    Status.EXPANDED: frozenset({Status.WITHDRAWN}),
    Status.REJECTED: frozenset({Status.WITHDRAWN}),
    Status.FAILED: frozenset({Status.DISCOVERED, Status.WITHDRAWN}),
    Status.WITHDRAWN: frozenset(),
}
"""Every move that an item may make; a commit that holds any other is refused whole."""


class Reason(StrEnum):
    """Why an item was rejected or failed. The value is stored; it never changes its meaning."""

    # the picture
    EMPTY = "empty"
    NOT_IMAGE = "not_image"
    UNSUPPORTED_FORMAT = "unsupported_format"
    CORRUPT = "corrupt"
    TRUNCATED = "truncated"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_BYTES = "too_many_bytes"
    TOO_SMALL = "too_small"
    TOO_LARGE = "too_large"
    ASPECT = "aspect"
    # the worker that held it
    DECODER_CRASH = "decoder_crash"
    DEADLINE = "deadline"
    OUT_OF_MEMORY = "out_of_memory"
    # files
    MISSING = "missing"
    UNREADABLE = "unreadable"
    READ_ERROR = "read_error"
    BAD_SIDECAR = "bad_sidecar"
    # archives
    BAD_ARCHIVE = "bad_archive"
    BAD_MEMBER = "bad_member"
    ENCRYPTED = "encrypted"
    UNSAFE_PATH = "unsafe_path"
    LINK = "link"
    SPECIAL_FILE = "special_file"
    DUPLICATE_NAME = "duplicate_name"
    NESTED_ARCHIVE = "nested_archive"
    ARCHIVE_BOMB = "archive_bomb"
    NO_IMAGE = "no_image"
    # fetching
    BAD_URL = "bad_url"
    DNS = "dns"
    DNS_TEMPORARY = "dns_temporary"
    REFUSED = "refused"
    PRIVATE_ADDRESS = "private_address"
    TLS = "tls"
    CONNECTION = "connection"
    PROTOCOL = "protocol"
    TIMEOUT = "timeout"
    REDIRECT_LOOP = "redirect_loop"
    HTTP_4XX = "http_4xx"
    HTTP_429 = "http_429"
    HTTP_5XX = "http_5xx"
    BODY_TOO_LARGE = "body_too_large"
    BODY_TRUNCATED = "body_truncated"
    HOST_DOWN = "host_down"
    # opt-outs
    ROBOTS = "robots"
    X_ROBOTS_TAG = "x_robots_tag"
    TDM_RESERVED = "tdm_reserved"
    AIPREF = "aipref"
    # rows of hosted datasets and URL lists
    NO_VALUE = "no_value"
    BAD_ROW = "bad_row"
    # documents and pages
    PDF_ENCRYPTED = "pdf_encrypted"
    PDF_DAMAGED = "pdf_damaged"
    PDF_EMPTY = "pdf_empty"
    PAGE_TOO_LARGE = "page_too_large"
    PAGE_DAMAGED = "page_damaged"
    RENDERER_TIMEOUT = "renderer_timeout"
    RENDERER_CRASH = "renderer_crash"
    # takedown
    TAKEDOWN = "takedown"

    @property
    def transient(self) -> bool:
        """Whether the item may do better another time: `failed`, not `rejected`."""
        return self in _TRANSIENT

    @property
    def status(self) -> Status:
        """The status of an item that ends with this reason."""
        if self is Reason.TAKEDOWN:
            return Status.WITHDRAWN
        return Status.FAILED if self.transient else Status.REJECTED


_TRANSIENT = frozenset(
    {
        Reason.MISSING,
        Reason.UNREADABLE,
        Reason.READ_ERROR,
        Reason.DNS_TEMPORARY,
        Reason.REFUSED,
        Reason.CONNECTION,
        Reason.TIMEOUT,
        Reason.HTTP_429,
        Reason.HTTP_5XX,
        Reason.BODY_TRUNCATED,
        Reason.HOST_DOWN,
    }
)
