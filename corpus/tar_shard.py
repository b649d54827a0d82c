"""Writes a shard as a WebDataset tar: per sample `<key>.<extension>`, then `<key>.json`."""

from __future__ import annotations

from io import RawIOBase

import pyarrow as pa

from ..catalog.ustar import BLOCK, END_OF_ARCHIVE, header, padding
from ..catalog.workspace import Workspace
from .record import records, sidecar
from .splice import Window


def write_tar(file: RawIOBase, workspace: Workspace, plan: pa.Table, extension: str) -> None:
    """Write the samples of a plan, in order; the bytes depend on nothing but their content.

    Members are plain ustar: mode 0644, owner 0, time 0.
    """
    segments = plan.column("segment").to_pylist()
    offsets = plan.column("offset").to_pylist()
    lengths = plan.column("length").to_pylist()
    window = Window(workspace)
    for (key, record), segment, offset, length in zip(
        records(plan), segments, offsets, lengths, strict=True
    ):
        text = sidecar(record)
        head = header(f"{key}.{extension}", length)
        tail = b"".join((padding(length), header(f"{key}.json", len(text)), text, padding(len(text))))
        if not window.has_room(BLOCK + length + len(tail)):
            file.write(window.filled())
            window.clear()
        window.put(head)
        window.reserve(segment, offset, length)
        window.put(tail)
    file.write(window.filled())
    file.write(END_OF_ARCHIVE)
