"""The identity of a shard's content, from the values of its plan alone: not from how memory holds them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pyarrow as pa

from .layout import Shape
from .record import plan_column, record_fields

LAYOUT = 1
"""Raised whenever the same plan would give other bytes."""


def fingerprint(plan: pa.Table, format: str, shape: Shape) -> str:
    """The sha256 (hex) of everything that decides a shard's bytes: equal fingerprints, equal bytes.

    It covers the layout and the samples in order, each with its record and its image's sha256, but not
    the images' places in the store. The bytes of Parquet also depend on pyarrow.
    """
    digest = hashlib.sha256()
    writer = f"pyarrow {pa.__version__}" if format == "parquet" else "ustar"
    digest.update(json.dumps([LAYOUT, format, shape.extension, writer, plan.num_rows]).encode())
    # whether there are fields of several images and captions decides the bytes, whatever their values
    names = [plan_column(name) for name in record_fields(shape, format)]
    for name in [*names, "images"] if shape.several and "images" not in names else names:
        digest.update(name.encode())
        column = plan.column(name).combine_chunks()
        _add(digest, column)
    return digest.hexdigest()


def _add(digest: Any, array: pa.Array) -> None:
    """Hash an array's values, and before them their ends and which are null."""
    if array.null_count:
        digest.update(np.packbits(array.is_valid().to_numpy(zero_copy_only=False)).tobytes())
    if pa.types.is_list(array.type):
        digest.update(np.diff(_offsets(array)).tobytes())
        _add(digest, array.flatten())
    elif pa.types.is_struct(array.type):
        for part in array.flatten():
            _add(digest, part)
    elif pa.types.is_string(array.type):
        offsets = _offsets(array)
        digest.update(np.diff(offsets).tobytes())
        if offsets[-1] > offsets[0]:
            data = array.buffers()[2]
            digest.update(data.slice(int(offsets[0]), int(offsets[-1] - offsets[0])))
    else:
        digest.update(array.fill_null(0).to_numpy(zero_copy_only=False).astype("<i8").tobytes())


def _offsets(array: pa.Array) -> Any:
    """Where each value of a list or string array starts and the last one ends."""
    if len(array) == 0:
        return np.zeros(1, np.int32)
    return np.frombuffer(array.buffers()[1], np.int32, len(array) + 1, array.offset * 4)
