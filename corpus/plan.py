"""Which samples go into which shard, and the plan files from which workers write them.

Shards are cut from the sizes of the samples in the manifest's order, so that their boundaries depend on
nothing but content. A corpus from which samples were withdrawn keeps the boundaries it was built with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..catalog.queries import query
from ..core.errors import UnknownManifest
from ..core.tar import END_OF_ARCHIVE
from ..core.workspace import Workspace
from .corpus_options import CorpusOptions
from .errors import MixedMediaTypes, UnbuildableSample
from .layout import EXTENSIONS, CorpusFolder, Shape, shape_of

CHUNK = 500_000
"""Samples whose rows are fetched at once: bounds the coordinator's memory to about 500 MB."""

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Span:
    """A shard to be: manifest positions `first` to before `last`, its samples and their bytes (about)."""

    number: int
    first: int
    last: int
    samples: int
    bytes: int


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """What a build would write. `bytes` is an estimate from the sizes in the catalog."""

    name: str
    options: CorpusOptions
    fingerprint: str
    shape: Shape
    spans: tuple[Span, ...]

    @property
    def shards(self) -> int:
        """Number of shards."""
        return len(self.spans)

    @property
    def samples(self) -> int:
        """Number of samples."""
        return sum(span.samples for span in self.spans)

    @property
    def bytes(self) -> int:
        """Size of all shards together, about."""
        return sum(span.bytes for span in self.spans)


def plan_build(
    connection: duckdb.DuckDBPyConnection,
    workspace: Workspace,
    name: str,
    options: CorpusOptions,
) -> BuildPlan:
    """Plan the corpus of the sample `name`; reads the catalog and writes nothing.

    Raises UnknownManifest, UnbuildableSample or MixedMediaTypes.
    """
    fingerprint = manifest_fingerprint(connection, name)
    folder = CorpusFolder(workspace, name)
    shape = _checked_shape(connection, name)
    if (built := _built_shape(folder, fingerprint)) is not None:
        shape = shape.covering(built)  # a withdrawal leaves the bytes of other shards
    positions, sizes = _sizes(connection, name)
    limits = _kept_limits(folder, fingerprint, options)
    if limits is None or (len(positions) and positions[-1] >= limits[-1]):
        limits = shard_limits(positions, sizes, int(options.shard_size) - len(END_OF_ARCHIVE))
    return BuildPlan(name, options, fingerprint, shape, tuple(shard_spans(limits, positions, sizes)))


def manifest_fingerprint(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    """The fingerprint of a manifest; UnknownManifest if there is none of this name."""
    rows = connection.execute("SELECT corpus, fingerprint FROM manifests ORDER BY corpus").fetchall()
    known: dict[str, str] = dict(rows)
    if name not in known:
        raise UnknownManifest(name, list(known))
    return known[name]


def _checked_shape(connection: duckdb.DuckDBPyConnection, name: str) -> Shape:
    rows = connection.execute(query("corpus/check"), {"corpus": name}).fetchall()
    troubles = [(trouble, samples, example) for trouble, _, samples, example, _, _ in rows if trouble]
    if troubles:
        counts: dict[str, int] = {}
        for trouble, samples, _ in troubles:
            counts[trouble] = counts.get(trouble, 0) + samples
        raise UnbuildableSample(name, counts, [example for _, _, example in troubles[:3]])
    kinds = {media_type or "unknown": samples for _, media_type, samples, *_ in rows}
    if len(kinds) > 1 or not kinds.keys() <= EXTENSIONS.keys():
        raise MixedMediaTypes(name, kinds)
    if not kinds:
        return Shape("jpg")
    *_, images, captions = rows[0]
    return Shape(EXTENSIONS[next(iter(kinds))], images, captions)


def _built_shape(folder: CorpusFolder, fingerprint: str) -> Shape | None:
    """The shape of the corpus that was built from this very manifest, if any."""
    built = folder.build()
    if built.get("manifest_fingerprint") != fingerprint:
        return None
    return shape_of(built)


def _sizes(connection: duckdb.DuckDBPyConnection, name: str) -> tuple[Integers, Integers]:
    """Positions and sizes of all samples, in order: 16 bytes a sample, which is all that is held of each."""
    reader = connection.execute(query("corpus/sizes"), {"corpus": name}).to_arrow_reader(1_000_000)
    positions, sizes = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for batch in reader:
        positions.append(batch.column("position").to_numpy(zero_copy_only=False).astype(np.int64))
        sizes.append(batch.column("size").to_numpy(zero_copy_only=False).astype(np.int64))
    return np.concatenate(positions), np.concatenate(sizes)


def _kept_limits(folder: CorpusFolder, fingerprint: str, options: CorpusOptions) -> list[int] | None:
    """The boundaries of the shards that exist, if they were cut from this very manifest at this size."""
    built = folder.build()
    if built.get("manifest_fingerprint") != fingerprint or built.get("shard_size") != int(options.shard_size):
        return None
    return folder.limits()


def shard_limits(positions: Integers, sizes: Integers, shard_size: int) -> list[int]:
    """Boundaries of shards that hold at most `shard_size` bytes, or a single sample."""
    if len(positions) == 0:
        return [0, 0]
    ends = np.cumsum(sizes)
    limits, start, before = [0], 0, 0
    while start < len(ends):
        stop = max(int(np.searchsorted(ends, before + shard_size, side="right")), start + 1)
        limits.append(int(positions[stop - 1]) + 1)
        start, before = stop, int(ends[stop - 1])
    return limits


def shard_spans(limits: Sequence[int], positions: Integers, sizes: Integers) -> Iterator[Span]:
    """The shards between boundaries, with the number and the bytes of their samples."""
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    cuts = np.searchsorted(positions, np.asarray(limits, np.int64))
    for number, (first, last) in enumerate(pairwise(limits)):
        start, stop = int(cuts[number]), int(cuts[number + 1])
        yield Span(number, first, last, stop - start, int(ends[stop] - ends[start]))


def planned_rows(
    connection: duckdb.DuckDBPyConnection, name: str, spans: Sequence[Span]
) -> Iterator[tuple[Span, pa.Table]]:
    """Each span with the rows of its samples (`sql/corpus/rows.sql`), in order."""
    for group in _groups(spans):
        values = {"corpus": name, "first": group[0].first, "last": group[-1].last}
        rows = connection.execute(query("corpus/rows"), values).to_arrow_table()
        start = 0
        for span in group:
            yield span, rows.slice(start, span.samples)
            start += span.samples


def _groups(spans: Sequence[Span]) -> Iterator[list[Span]]:
    """Neighbouring spans that together hold at most CHUNK samples."""
    group: list[Span] = []
    for span in spans:
        full = sum(other.samples for other in group) + span.samples > CHUNK
        if group and (full or group[-1].last != span.first):
            yield group
            group = []
        group.append(span)
    if group:
        yield group
