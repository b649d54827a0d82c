"""Writes a shard as a WebDataset tar: per sample its images, then `<key>.json`."""

from __future__ import annotations

from io import RawIOBase

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..core.tar import END_OF_ARCHIVE, header, padding
from .layout import Shape
from .record import image_names, sidecars
from .segment_reader import Place, Segments, Window, ahead

_INFERRED_FROM = 5
"""Samples of the first shard from which `datasets` infers types when it is given the tars alone."""
_LISTS = ("conversations", "category")
"""Columns of a plan that become lists. Where all lists are empty, there is no type to infer."""


def write_tar(file: RawIOBase, segments: Segments, plan: pa.Table, shape: Shape) -> None:
    """Write the samples of a plan; the bytes depend on nothing but their content.

    They keep their order, but for a sample that `typed_first` moves to the front. Members are plain
    ustar: mode 0644, owner 0, time 0.
    """
    plan = typed_first(plan)
    window = Window(segments)
    places = ahead(segments, plan)

    def put(head: bytes, place: Place | None, tail: bytes) -> None:
        size = len(head) + (place[2] if place else 0) + len(tail)
        if not window.has_room(size):
            file.write(window.filled())
            window.clear()
            window.has_room(size)
        window.put(head)
        if place:
            window.reserve(place)
        window.put(tail)

    for names, (key, text) in zip(image_names(plan, shape), sidecars(plan, shape), strict=True):
        for name in names:
            place = next(places)
            put(header(name, place[2]), place, padding(place[2]))
        put(header(f"{key}.json", len(text)), None, text + padding(len(text)))
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
