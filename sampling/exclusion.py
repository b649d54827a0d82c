"""Decontamination: what pictures are excluded from a sample, by their hashes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import ConfigError
from .sample_options import Exclusion

_HASH = re.compile(r"[0-9a-f]{64}|[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What is known of an excluded picture: sha256 (of the original or the normalised bytes), dhash, both."""

    sha256: str | None = None
    dhash: str | None = None


Fingerprinter = Callable[[Exclusion], Iterable[Fingerprint]]
"""Gives the fingerprints of an exclusion. Those of folders and datasets take adapters and decoders, which
are not for this room to import: the caller brings them."""


def read_hashes(exclusion: Exclusion) -> Iterable[Fingerprint]:
    """The fingerprints of a hash list: the first word of every line that is not empty or a comment.

    This is the format of `sha256sum` too. Raises ConfigError for any other form of exclusion, for a file
    that cannot be read and for a line that holds no hash.
    """
    if exclusion.hashes is None:
        raise ConfigError(f"cannot take fingerprints of {exclusion.label} here", key="sample.exclude")
    path = Path(exclusion.hashes)
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the hash list {path}: {error}", key="sample.exclude") from error
    found = []
    for number, line in enumerate(lines, start=1):
        word = line.split("#")[0].strip().partition(" ")[0].lower()
        if not word:
            continue
        if not _HASH.fullmatch(word):
            message = f"neither a sha256 (64 hex digits) nor a dhash (16): {word[:80]!r}"
            raise ConfigError(message, key="sample.exclude", file=path, line=number)
        found.append(Fingerprint(sha256=word) if len(word) == 64 else Fingerprint(dhash=word))
    return found


def check_exclusions(exclusions: Iterable[Exclusion]) -> None:
    """Raise ConfigError for a folder or hash list that is not there."""
    for exclusion in exclusions:
        if exclusion.folder is not None and not Path(exclusion.folder).is_dir():
            raise ConfigError(f"there is no folder {exclusion.folder}", key="sample.exclude")
        if exclusion.hashes is not None and not Path(exclusion.hashes).is_file():
            raise ConfigError(f"there is no file {exclusion.hashes}", key="sample.exclude")
