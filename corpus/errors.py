"""Why a corpus could not be written, as types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..core.errors import DerlemError


class UnbuildableSample(DerlemError):
    """The manifest names items that have no bytes; `counts` by what they are, `examples` their ids."""

    def __init__(self, name: str, counts: Mapping[str, int], examples: Sequence[str]) -> None:
        self.name, self.counts, self.examples = name, dict(counts), list(examples)
        counted = ", ".join(f"{count:,} {state}" for state, count in counts.items())
        super().__init__(
            f"manifest {name!r} lists items without bytes: {counted} (such as {', '.join(examples)}); "
            "remove withdrawn ones with `derlem withdraw`, or draw the manifest again"
        )


class MixedMediaTypes(DerlemError):
    """A corpus whose samples would not all have the same extension; `counts` by media type."""

    def __init__(self, name: str, counts: Mapping[str, int]) -> None:
        self.name, self.counts = name, dict(counts)
        counted = ", ".join(f"{count:,} {media_type}" for media_type, count in counts.items())
        super().__init__(
            f"manifest {name!r} mixes image formats ({counted}), and loaders need one; restrict it "
            "with `sample: {where: \"media_type = '...'\"}`, or ingest with one `image: {format: ...}`"
        )


class MissingBytes(DerlemError):
    """A segment's tar lacks bytes that the catalog places in it, or is not there at all."""

    def __init__(self, path: Path, offset: int = 0, length: int = 0) -> None:
        self.path, self.offset, self.length = path, offset, length
        lack = f"lacks {length:,} bytes at {offset:,}" if length else "is gone, with bytes"
        super().__init__(f"{path} {lack} that the catalog places there")

    def __reduce__(self) -> tuple[type[MissingBytes], tuple[Path, int, int]]:
        """Workers send it to their parent."""
        return type(self), (self.path, self.offset, self.length)


class DamagedImage(DerlemError):
    """A stored image whose bytes do not have the sha256 that the catalog has for them."""

    def __init__(self, segment: str, offset: int, sha256: str) -> None:
        self.segment, self.offset, self.sha256 = segment, offset, sha256
        super().__init__(
            f"segment {segment} is damaged: the image at byte {offset:,} of store/{segment}.tar does not "
            f"have the sha256 {sha256[:12]}... of the catalog. Bring the file back from a backup, or let "
            "`derlem catalog repair` re-queue its damaged images and `derlem run` read them again"
        )

    def __reduce__(self) -> tuple[type[DamagedImage], tuple[str, int, str]]:
        """Workers send it to their parent."""
        return type(self), (self.segment, self.offset, self.sha256)


class CorpusReleased(DerlemError):
    """A released corpus would be drawn or built again; `changed` are options that differ from its draw."""

    exit_code = 2

    def __init__(self, name: str, changed: Sequence[str] = ()) -> None:
        self.name, self.changed = name, tuple(changed)
        why = f", and these options changed since: {', '.join(changed)}" if changed else ""
        super().__init__(
            f"corpus {name!r} is released and stays as it is{why}; give the sample another name "
            f"(`sample.name`), or remove the corpus with `derlem drop {name}`"
        )


class NotReleasable(DerlemError):
    """A corpus that is incomplete, outdated or damaged cannot be released; `why` is the reason."""

    exit_code = 2

    def __init__(self, name: str, why: str) -> None:
        self.name, self.why = name, why
        super().__init__(f"corpus {name!r} cannot be released: {why}")


class NotPublishable(DerlemError):
    """A corpus that is incomplete, outdated or damaged is neither published nor exported; `why`."""

    exit_code = 2

    def __init__(self, name: str, why: str) -> None:
        self.name, self.why = name, why
        super().__init__(f"corpus {name!r} cannot leave the workspace: {why}")


class PublishFailed(DerlemError):
    """The hub refused a corpus, or was not reached; a repeated upload sends only what the hub lacks."""

    def __init__(self, repository: str, why: str) -> None:
        self.repository, self.why = repository, why
        super().__init__(f"hf://{repository}: {why}")


class NotEnoughSpace(DerlemError):
    """The file system of the corpora has less room than the build needs (bytes)."""

    def __init__(self, path: Path, needed: int, free: int) -> None:
        self.path, self.needed, self.free = path, needed, free
        super().__init__(f"{path} has {free / 1e9:.2f} GB free, the build needs {needed / 1e9:.2f} GB")


class UnreadableCorpus(DerlemError):
    """A file of a corpus is not what a build writes."""

    def __init__(self, path: Path, why: str) -> None:
        self.path = path
        super().__init__(f"{path}: {why}")
