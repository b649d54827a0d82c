"""Decontamination: the images of exclusion lists, and the candidates that equal or resemble one."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ..catalog.queries import query
from ..core.errors import ConfigError
from .dhash_clusters import TooManyComparisons, masks
from .sample_options import Exclusion, SampleOptions
from .temp_tables import TempTables

log = logging.getLogger("derlem.sample")

_HASH = re.compile(r"[0-9a-f]{64}|[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The hashes of an excluded image: sha256 (of the original or the normalized bytes), dhash, or both."""

    sha256: str | None = None
    dhash: str | None = None


Fingerprinter = Callable[[Exclusion], Iterable[Fingerprint]]
"""Gives the fingerprints of an exclusion. Folders and datasets need adapters and decoders, which this room
does not import: the caller passes a function that has them."""


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


def fill_exclusions(temp: TempTables, options: SampleOptions, fingerprints: Fingerprinter) -> None:
    """Make `draw_excluded_sha256`, and `draw_similar_dhashes` of candidates like an excluded image."""
    check_exclusions(options.exclude)
    sha256: set[str] = set()
    dhashes: set[tuple[int, int, int]] = set()
    for exclusion in options.exclude:
        count = 0
        for found in fingerprints(exclusion):
            count += 1
            if found.sha256 is not None:
                sha256.add(found.sha256)
            if found.dhash is not None and exclusion.distance is not None:
                bits = int(found.dhash, 16)
                dhashes.add((bits >> 32, bits & 0xFFFF_FFFF, exclusion.distance))
        log.info("exclude %s: %d images", exclusion.label, count)
    if sha256:
        temp.fill("draw_excluded_sha256", {"sha256": sorted(sha256)})
    if not dhashes:
        return
    high, low, distance = zip(*sorted(dhashes), strict=True)
    temp.fill("draw_excluded_dhashes", {"high": high, "low": low, "distance": distance})
    temp.table("draw_dhashes", query("sampling/dhashes"))
    hashes = temp.count("draw_dhashes") + len(dhashes)
    for bits in sorted(set(distance)):
        try:
            chosen = masks(bits, hashes)
        except TooManyComparisons as error:
            raise ConfigError(str(error), key="sample.exclude") from error
        for mask in chosen:
            values = {"high": mask >> 32, "low": mask & 0xFFFF_FFFF, "distance": bits}
            temp.add("draw_similar_dhashes", query("sampling/similar_dhashes"), values)
