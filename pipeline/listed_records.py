"""Keeps 16 bytes per listed record, to find repeated records and items that are no longer listed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..catalog.models import item_id

Numbers = npt.NDArray[np.uint64]

_MERGED_AT = 8
"""Maximum number of separate sorted runs."""


class ListedRecords:
    """The keys (the first 16 digits of the id) and record hashes of all items of one listing."""

    def __init__(self) -> None:
        self._runs: list[tuple[Numbers, Numbers]] = []
        self.repeated = 0
        """Number of dropped records: listed before with the same content."""

    def distinct(self, rows: pa.Table) -> pa.Table:
        """The rows of records that were not listed before, each with a distinct id.

        A record whose id was listed before with different content (a URL with two captions) is a separate
        record: its content becomes part of its locator.
        """
        keys, records = numbers(rows.column("item_id")), numbers(rows.column("record_hash"))
        _, first = np.unique(keys, return_index=True)
        fresh = np.zeros(len(keys), bool)
        fresh[first] = True
        before = self._find(keys)
        fresh &= before < 0
        if fresh.all():
            self._add(keys, records)
            return rows
        seen = dict(zip(keys[fresh].tolist(), records[fresh].tolist(), strict=True))
        kept: list[int] = []
        renamed: dict[int, tuple[str, str]] = {}
        for at in range(len(keys)):
            if not fresh[at]:
                key, record = int(keys[at]), int(records[at])
                known = seen[key] if key in seen else int(before[at])
                name = None
                if known != record:
                    row = {column: rows.column(column)[at].as_py() for column in ("source", "uri", "locator")}
                    locator = f"{row['locator']}#{record:016x}"
                    name = item_id(row["source"], row["uri"], locator), locator
                    key = int(name[0][:16], 16)
                if name is None or key in seen or self._find(np.array([key], np.uint64))[0] >= 0:
                    self.repeated += 1
                    continue
                seen[key] = record
                renamed[at] = name
            kept.append(at)
        self._add(*(np.array(list(part), np.uint64) for part in (seen.keys(), seen.values())))
        for place, column in enumerate(("item_id", "locator")):
            values = rows.column(column).to_pylist()
            for at, names in renamed.items():
                values[at] = names[place]
            index = rows.schema.get_field_index(column)
            rows = rows.set_column(index, rows.schema.field(index), pa.array(values, pa.string()))
        return rows.take(kept)

    @property
    def keys(self) -> pa.Table:
        """The keys of all records: one column, `key`."""
        found = [pa.array(keys) for keys, _ in self._runs]
        return pa.table({"key": pa.chunked_array(found, pa.uint64())})

    def _find(self, keys: Numbers) -> npt.NDArray[np.float64] | npt.NDArray[np.object_]:
        """The record hash that was listed before for each key; -1 for a key that was not listed."""
        found = np.full(len(keys), -1, object)
        for run, records in self._runs:
            at = np.searchsorted(run, keys)
            at[at == len(run)] = 0
            hit = run[at] == keys
            if hit.any():
                found[hit] = records[at[hit]]
        return found

    def _add(self, keys: Numbers, records: Numbers) -> None:
        order = np.argsort(keys)
        self._runs.append((keys[order], records[order]))
        if len(self._runs) > _MERGED_AT:
            merged = tuple(np.concatenate(part) for part in zip(*self._runs, strict=True))
            order = np.argsort(merged[0], kind="stable")
            self._runs = [(merged[0][order], merged[1][order])]


def numbers(texts: pa.ChunkedArray) -> Numbers:
    """The first 16 hex digits of each text as a number; all texts have the same length."""
    joined = "".join(texts.to_pylist())
    raw = np.frombuffer(bytes.fromhex(joined), np.dtype(">u8"))
    return raw[:: max(1, len(raw) // max(1, len(texts)))].astype(np.uint64)
