"""The type of the configuration: the sections of all rooms under their names in the file."""

from __future__ import annotations

from typing import Literal

from pydantic import ByteSize, Field, SerializeAsAny, field_validator

from ..adapters.base import SourceOptions
from ..adapters.http.fetch_options import FetchOptions
from ..catalog.catalog_options import CatalogOptions
from ..core.config_values import ResolvedPath
from ..core.options import StrictModel
from ..core.subsystems import SUBSYSTEMS
from ..core.suggest import did_you_mean
from ..corpus.corpus_options import CorpusOptions
from ..media.image_options import ImageOptions
from ..media.pdf import PdfOptions
from ..pipeline.ingest_options import IngestOptions
from ..sampling.sample_options import SampleOptions
from ..storage.sync_options import SyncOptions


class LogOptions(StrictModel):
    """Levels, format and retention of log files, and retention of state files."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="of every subsystem that `levels` does not name"
    )
    levels: dict[str, Literal["DEBUG", "INFO", "WARNING", "ERROR"]] = Field(
        default_factory=dict, description="by subsystem, such as {fetch: DEBUG}"
    )
    format: Literal["text", "json"] = Field(default="text", description="of lines on stderr and in log files")
    max_bytes: ByteSize = Field(
        default=ByteSize(16 * 2**20), gt=0, description="size at which a log file is renamed to `NAME.log.1`"
    )
    files: int = Field(default=5, ge=0, description="renamed files kept per subsystem")
    days: float = Field(
        default=90.0, gt=0, description="age at which renamed log files and state files of runs are removed"
    )
    runs: int = Field(default=1000, ge=1, description="state files of runs that are kept")

    @field_validator("levels")
    @classmethod
    def _known(cls, levels: dict[str, str]) -> dict[str, str]:
        for name in levels:
            if name not in SUBSYSTEMS:
                hint = did_you_mean(name, SUBSYSTEMS)
                raise ValueError(f"no subsystem is named {name!r}{hint} (known: {', '.join(SUBSYSTEMS)})")
        return levels


class AuditOptions(StrictModel):
    """Folders of custom audits, in addition to the built-in audits."""

    paths: list[ResolvedPath] = Field(default_factory=list, description="folders of .sql files")


class TestModeOptions(StrictModel):
    """The limits of `--test-mode`."""

    __test__ = False  # not a test class of pytest

    items: int = Field(default=16, ge=1, description="items per source")


class Config(StrictModel):
    """The complete configuration of a workspace."""

    workspace: ResolvedPath = Field(description="folder of the catalog, the segments and the corpora")
    sources: tuple[SerializeAsAny[SourceOptions], ...] = Field(
        description="what the corpus is made of; of exact duplicates, the first source's is kept"
    )
    ingest: IngestOptions = Field(default_factory=IngestOptions)
    image: ImageOptions = Field(default_factory=ImageOptions)
    pdf: PdfOptions = Field(default_factory=PdfOptions)
    fetch: FetchOptions = Field(default_factory=FetchOptions)
    catalog: CatalogOptions = Field(default_factory=CatalogOptions)
    sample: SampleOptions | None = None
    corpus: CorpusOptions = Field(default_factory=CorpusOptions)
    audit: AuditOptions = Field(default_factory=AuditOptions)
    sync: SyncOptions | None = None
    metrics: ResolvedPath | None = Field(
        default=None,
        description="file for Prometheus, in a folder of node_exporter's textfile collector, such as "
        "/var/lib/node_exporter/derlem.prom; replaced during runs",
    )
    log: LogOptions = Field(default_factory=LogOptions)
    test_mode: TestModeOptions = Field(default_factory=TestModeOptions)

    @field_validator("workspace")
    @classmethod
    def _openable(cls, path: str) -> str:
        if "?" in path:  # DuckDB inserts suffixes of its other files before a question mark
            raise ValueError(f"{path} has a question mark, which DuckDB does not support in file names")
        return path
