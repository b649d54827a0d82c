"""The paths of a workspace. Only this module contains its file names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Workspace:
    """The directory of one pipeline; every path that the catalog stores is relative to `root`."""

    root: Path
    query_memory: int | None = None
    """Bytes of memory for the catalog's queries; None for DuckDB's default, 80% of the machine's memory."""

    @property
    def catalog(self) -> Path:
        """The DuckDB file."""
        return self.root / "catalog.duckdb"

    @property
    def private(self) -> tuple[Path, ...]:
        """Folders that the owner alone can read, since URLs and messages may contain secrets."""
        return self.state, self.cache, self.store, self.logs

    @property
    def temporary(self) -> Path:
        """Temporary files of the catalog's queries."""
        return self.root / "tmp"

    @property
    def lock(self) -> Path:
        """The single-instance lock."""
        return self.root / "catalog.lock"

    @property
    def ledger(self) -> Path:
        """The fetch ledger (SQLite)."""
        return self.root / "ledger.sqlite"

    @property
    def sync_index(self) -> Path:
        """Hashes of files and the state of the workspace's copy in a bucket (SQLite)."""
        return self.root / "sync.sqlite"

    @property
    def state(self) -> Path:
        """State files of runs."""
        return self.root / "state"

    @property
    def cache(self) -> Path:
        """Fetched bytes, by content."""
        return self.root / "cache"

    @property
    def packs(self) -> Path:
        """Packs of small fetched bodies; the ledger stores the place of each body."""
        return self.cache / "packs"

    @property
    def listings(self) -> Path:
        """Data for faster listings of a source, such as pages of a crawl."""
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
        """Return the path of cached bytes with this sha256 (hex)."""
        return self.cache / sha256[:2] / sha256

    def segment_tar(self, segment: str) -> Path:
        """Return the path of the samples of segment `source/000042`."""
        return self.store / f"{segment}.tar"

    def segment_rows(self, segment: str) -> Path:
        """Return the path of the outcomes of segment `source/000042`."""
        return self.store / f"{segment}.parquet"
