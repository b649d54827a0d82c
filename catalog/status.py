"""The vocabulary of outcomes: statuses, the moves between them, and the reason codes."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """The state of an item."""

    DISCOVERED = "discovered"
    """known, payload not yet read"""
    READY = "ready"
    """normalized; the bytes lie in a segment"""
    EXPANDED = "expanded"
    """a document whose pages became items"""
    REJECTED = "rejected"
    """final; the reason code gives the cause"""
    FAILED = "failed"
    """transient; `retry` re-queues it"""
    WITHDRAWN = "withdrawn"
    """taken down; never sampled again"""


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
"""Every allowed change of status; a commit that contains any other change is rolled back.

A segment of the kind `relist` alone may move an item from any status but `withdrawn` to the status of its
new listing.
"""


class Reason(StrEnum):
    """Why an item was rejected, failed or withdrawn. The value is stored; its meaning never changes."""

    # the image
    EMPTY = "empty"
    """an empty file, member, body or archive"""
    NOT_IMAGE = "not_image"
    """the bytes are neither an image nor a document"""
    UNSUPPORTED_FORMAT = "unsupported_format"
    """an image format without a decoder"""
    CORRUPT = "corrupt"
    """the image does not decode, or its headers contradict each other"""
    TRUNCATED = "truncated"
    """the image, or the archive inside its member, ends early"""
    TOO_MANY_PIXELS = "too_many_pixels"
    """more pixels than `image.max_pixels`"""
    TOO_MANY_BYTES = "too_many_bytes"
    """more bytes than the source or the `image` section allows"""
    TOO_SMALL = "too_small"
    """a side below `image.min_side`"""
    TOO_LARGE = "too_large"
    """a side above `image.max_side`, or above the limit of the output format"""
    ASPECT = "aspect"
    """longer than `image.max_aspect` allows"""
    # the worker
    DECODER_CRASH = "decoder_crash"
    """the worker process died on this item"""
    WORKER_KILLED = "worker_killed"
    """another process, perhaps the system for lack of memory, twice killed the worker that read this item"""
    DEADLINE = "deadline"
    """the item took longer than `ingest.deadline`"""
    OUT_OF_MEMORY = "out_of_memory"
    """the item needs more memory than a worker has (`ingest.memory_limit`)"""
    # files
    CHANGED = "changed"
    """changed since it was listed; the next `discover` lists it again"""
    MISSING = "missing"
    """listed, but missing when read"""
    UNREADABLE = "unreadable"
    """the operating system does not open the file or folder"""
    READ_ERROR = "read_error"
    """the adapter raised an error on this item; the log has the traceback"""
    BAD_SIDECAR = "bad_sidecar"
    """the sidecar does not decode or parse; the item is stored without its texts, with this code in `meta`"""
    # archives
    BAD_ARCHIVE = "bad_archive"
    """the archive is damaged or of an unknown kind"""
    BAD_MEMBER = "bad_member"
    """the member does not unpack, or its checksum does not match"""
    ENCRYPTED = "encrypted"
    """the member is encrypted"""
    UNSAFE_PATH = "unsafe_path"
    """an absolute path, or a path that leads out of its root"""
    LINK = "link"
    """a link to another member, or out of the source"""
    SPECIAL_FILE = "special_file"
    """a device, a pipe, a socket or a volume label"""
    DUPLICATE_NAME = "duplicate_name"
    """an earlier member has this name"""
    NESTED_ARCHIVE = "nested_archive"
    """an archive inside an archive"""
    ARCHIVE_BOMB = "archive_bomb"
    """unpacks to more than `limits` allow, or shares its bytes with another member"""
    PLACEHOLDERS = "placeholders"
    """the conversation's `<image>` marks differ from the record's images in number"""
    NO_IMAGE = "no_image"
    """a sample, record or canvas without an image"""
    # fetching
    BAD_URL = "bad_url"
    """not a URL that can be fetched"""
    DNS = "dns"
    """the host name does not exist"""
    DNS_TEMPORARY = "dns_temporary"
    """the name server gave no answer"""
    REFUSED = "refused"
    """the host refused the connection"""
    PRIVATE_ADDRESS = "private_address"
    """the host has an address that is not public and not in `fetch.allow_private`"""
    TLS = "tls"
    """the certificate or the TLS handshake failed"""
    CONNECTION = "connection"
    """the connection broke"""
    PROTOCOL = "protocol"
    """the response is not valid HTTP, or a listing is not in the expected form"""
    TIMEOUT = "timeout"
    """no response within `fetch.timeouts`"""
    REDIRECT_LOOP = "redirect_loop"
    """too many redirects, or a redirect to itself"""
    HTTP_4XX = "http_4xx"
    """HTTP status 4xx, other than 408 and 429"""
    HTTP_429 = "http_429"
    """the host limits its rate"""
    HTTP_5XX = "http_5xx"
    """HTTP status 5xx"""
    BODY_TOO_LARGE = "body_too_large"
    """the body is larger than `fetch.max_bytes`"""
    BODY_TRUNCATED = "body_truncated"
    """the body ended before its declared length"""
    HOST_DOWN = "host_down"
    """the circuit breaker stopped requests to the host"""
    # opt-outs
    ROBOTS = "robots"
    """robots.txt disallows the URL"""
    X_ROBOTS_TAG = "x_robots_tag"
    """the `X-Robots-Tag` header opts out"""
    TDM_RESERVED = "tdm_reserved"
    """TDMRep reserves text and data mining"""
    AIPREF = "aipref"
    """AIPREF (`Content-Usage`) disallows training"""
    # rows of hosted datasets and URL lists
    NO_VALUE = "no_value"
    """the row has no image or no URL"""
    BAD_ROW = "bad_row"
    """the row does not parse, or its values have the wrong type"""
    # documents and pages
    PDF_ENCRYPTED = "pdf_encrypted"
    """the document requires a password"""
    PDF_DAMAGED = "pdf_damaged"
    """the document does not open"""
    PDF_EMPTY = "pdf_empty"
    """the document has no pages"""
    PAGE_TOO_LARGE = "page_too_large"
    """the page has more pixels at this resolution than `image.max_pixels`"""
    PAGE_DAMAGED = "page_damaged"
    """the page does not draw, or its scan does not decode"""
    RENDERER_TIMEOUT = "renderer_timeout"
    """the page took longer to draw than allowed"""
    RENDERER_CRASH = "renderer_crash"
    """the renderer process died on this page"""
    # changes of sources and takedowns
    GONE = "gone"
    """the source no longer lists the item; listed again, it is re-queued"""
    TAKEDOWN = "takedown"
    """withdrawn by `derlem withdraw`"""

    @property
    def transient(self) -> bool:
        """Whether a later attempt can succeed: the status is `failed`, not `rejected`."""
        return self in _TRANSIENT

    @property
    def status(self) -> Status:
        """The status of an item that ends with this reason."""
        if self is Reason.TAKEDOWN:
            return Status.WITHDRAWN
        return Status.FAILED if self.transient else Status.REJECTED


_TRANSIENT = frozenset(
    {
        Reason.WORKER_KILLED,
        Reason.CHANGED,
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
