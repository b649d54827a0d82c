"""Where everything lies in a workspace. Only here are its file names spelled out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Workspace:
    """The directory of one pipeline; every path that the catalog stores is relative to `root`."""

    root: Path

    @property
    def catalog(self) -> Path:
        """The DuckDB file."""
        return self.root / "catalog.duckdb"

    @property
    def lock(self) -> Path:
        """The single-instance lock."""
        return self.root / "catalog.lock"

    @property
    def ledger(self) -> Path:
        """The fetch ledger (SQLite)."""
        return self.root / "ledger.sqlite"

    @property
    def state(self) -> Path:
        """State files of runs."""
        return self.root / "state"

    @property
    def cache(self) -> Path:
        """Bytes as fetched, by content."""
        return self.root / "cache"

    @property
    def packs(self) -> Path:
        """Small bodies as fetched, many to a file; the ledger knows where each lies."""
        return self.cache / "packs"

    @property
    def listings(self) -> Path:
        """What makes the next listing of a source cheaper, such as pages of a crawl."""
        return self.cache / "listings"

    @property
    def hashes(self) -> Path:
        """Hashes of images that samples exclude."""
        return self.cache / "hashes"

    @property
    def store(self) -> Path:
        """Segments, a folder per source."""
        return self.root / "store"

    @property
    def corpora(self) -> Path:
        """Finished corpora, a folder each."""
        return self.root / "corpora"

    @property
    def logs(self) -> Path:
        """Log files, one per subsystem."""
        return self.root / "logs"

    def cached(self, sha256: str) -> Path:
        """Where bytes with this sha256 (hex) are cached."""
        return self.cache / sha256[:2] / sha256

    def segment_tar(self, segment: str) -> Path:
        """The samples of segment `source/000042`."""
        return self.store / f"{segment}.tar"

    def segment_rows(self, segment: str) -> Path:
        """The outcomes of segment `source/000042`."""
        return self.store / f"{segment}.parquet"
