"""Writes a shard as a WebDataset tar: per sample `<key>.<extension>`, then `<key>.json`."""

from __future__ import annotations

from io import RawIOBase

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..core.tar import BLOCK, END_OF_ARCHIVE, header, padding
from .record import sidecars
from .segment_reader import Segments, Window, ahead

_INFERRED_FROM = 5
"""Samples of the first shard from which `datasets` infers types when it is given the tars alone."""
_LISTS = ("conversations", "category")
"""Columns of a plan that become lists. Where all lists are empty, there is no type to infer."""


def write_tar(file: RawIOBase, segments: Segments, plan: pa.Table, extension: str) -> None:
    """Write the samples of a plan; the bytes depend on nothing but their content.

    They keep their order, but for a sample that `typed_first` moves to the front. Members are plain
    ustar: mode 0644, owner 0, time 0.
    """
    plan = typed_first(plan)
    window = Window(segments)
    for (key, text), place in zip(sidecars(plan), ahead(segments, plan), strict=True):
        length = place[2]
        head = header(f"{key}.{extension}", length)
        tail = b"".join((padding(length), header(f"{key}.json", len(text)), text, padding(len(text))))
        if not window.has_room(BLOCK + length + len(tail)):
            file.write(window.filled())
            window.clear()
            window.has_room(BLOCK + length + len(tail))
        window.put(head)
        window.reserve(place)
        window.put(tail)
    file.write(window.filled())
    file.write(END_OF_ARCHIVE)


def typed_first(plan: pa.Table) -> pa.Table:
    """The plan, with a sample that has a conversation (and one that has a category) among the first five.

    Where those have none but others do, the first that does moves to the front: a loader that infers
    types from the first samples would take such lists for lists of nothing, and fail at a later sample.
    """
    for name in _LISTS:
        column = plan.column(name)
        size = pc.list_value_length(column) if pa.types.is_list(column.type) else pc.binary_length(column)
        filled = pc.greater(size, 0).to_numpy()
        if filled.any() and not filled[:_INFERRED_FROM].any():
            lead = int(filled.argmax())
            plan = plan.take(np.concatenate([[lead], np.delete(np.arange(plan.num_rows), lead)]))
    return plan
