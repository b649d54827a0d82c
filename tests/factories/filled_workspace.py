"""A workspace with a catalog for the outbound side: images in segments, a stored manifest, no error."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from derlem.catalog.connection import read_catalog, transaction, write_catalog
from derlem.catalog.counts import recount
from derlem.catalog.segment_files import inspect
from derlem.catalog.segments import merge
from derlem.core.workspace import Workspace

from .catalog import Row, insert_source, item_row, store_manifest
from .segments import write_segment

FORMATS = {"jpeg": ("image/jpeg", "jpg"), "png": ("image/png", "png"), "webp": ("image/webp", "webp")}


@dataclass
class FilledWorkspace:
    """A workspace that tests fill: `store` adds a segment, `draw` a manifest of all ready items."""

    workspace: Workspace
    images: Sequence[Path]
    kind: str = "jpeg"
    numbers: dict[str, int] = field(default_factory=dict)

    def image(self, index: int) -> tuple[bytes, int, int]:
        """Bytes, width and height of an image, a different one for every index."""
        with Image.open(self.images[index % len(self.images)]) as opened:
            flat = Image.new("RGB", opened.size, "white")
            rgba = opened.convert("RGBA")
            flat.paste(rgba, mask=rgba)
        side = 24 + index // len(self.images) % 40
        flat = flat.resize((side, side + index % 7))
        flat.putpixel((0, 0), (index % 256, index // 256 % 256, 99))
        out = io.BytesIO()
        flat.save(out, self.kind.upper(), quality=95)
        return out.getvalue(), *flat.size

    def declare(self, source: str, *, license: str = "CC0-1.0", homepage: str | None = None) -> None:
        """Write a source's declaration into the catalog."""
        config = json.dumps({"name": source, "adapter": "files"})
        with write_catalog(self.workspace) as connection:
            insert_source(connection, source, license=license, homepage=homepage, config=config)

    def store(self, source: str, rows: Sequence[dict[str, Any]], first_image: int = 0) -> list[str]:
        """Write a segment of ready items, one per entry of `rows` (columns to set); returns ids."""
        number = self.numbers.get(source, 0)
        self.numbers[source] = number + 1
        media_type, extension = FORMATS[self.kind]
        stored: list[Row | tuple[Row, bytes]] = []
        ids = []
        for index, given in enumerate(rows):
            data, width, height = self.image(first_image + index)
            uri = given.get("uri", f"{number}/{index}.png")
            filled = {
                "source": source,
                "uri": uri,
                "ordinal": number * 1000 + index,
                "category": "images",
                "media_type": media_type,
                "sha256": hashlib.sha256(data).hexdigest(),
                "original_sha256": hashlib.sha256(uri.encode()).hexdigest(),
                "dhash": "0" * 16,
                "width": width,
                "height": height,
                "bytes": len(data),
            }
            row = item_row(**filled | given)
            stored.append((row, data) if row["status"] == "ready" else row)
            ids.append(row["item_id"])
        path = write_segment(self.workspace, number, stored, source=source, extension=extension)
        with write_catalog(self.workspace) as connection:
            merge(connection, [inspect(self.workspace, path)])
        return ids

    def draw(self, name: str = "small", repeats: Sequence[str] = ()) -> int:
        """Draw all ready items (and `repeats` once more) as the manifest `name`; returns its size."""
        with write_catalog(self.workspace) as connection, transaction(connection):
            ready = connection.execute("SELECT item_id FROM items WHERE status = 'ready'").fetchall()
            rows = [(item, 0) for (item,) in ready] + [(item, 1) for item in repeats]
            keys = {row: f"{row[0]}-r{row[1]}" if row[1] else row[0] for row in rows}
            rows.sort(key=lambda row: (hashlib.md5(f"7:order:{keys[row]}".encode()).hexdigest(), row))
            store_manifest(connection, name, rows, seed=7)
            connection.execute("INSERT INTO exclusions VALUES (?, 'clips', 'clips', 'duplicate', 3)", [name])
        return len(rows)

    def change(self, sql: str, *values: object) -> None:
        """Change the catalog as only a test may; the counts of items follow."""
        with write_catalog(self.workspace) as connection:
            connection.execute(sql, list(values))
            if "item_counts" not in sql:
                recount(connection)

    def ask(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        with read_catalog(self.workspace) as connection:
            return connection.execute(sql, list(values)).fetchall()


def fill(filled: FilledWorkspace, *, per_source: int = 20) -> list[str]:
    """Two sources: cliparts with Turkish captions in a tree, and chats with conversations."""
    filled.declare("clips", homepage="https://openclipart.org/")
    filled.declare("chats", license="CC-BY-4.0")
    ids: list[str] = []
    for half in range(2):
        ids += filled.store(
            "clips",
            [
                {
                    "category": f"clips/{'animals' if n % 3 else 'tools/hand'}",
                    "caption": f'Bir "İğne" \\ çizimi {n}\n\t<ikinci satır>',
                    "language": "tr",
                }
                for n in range(per_source // 2)
            ],
            first_image=half * 100,
        )
    ids += filled.store(
        "chats",
        [
            {
                "category": "" if n == 0 else "chats",
                "license": "CC-BY-4.0",
                "meta": f'{{"n":{n}}}',
                "conversations": json.dumps(
                    [
                        {"role": "user", "content": "<image>\nNedir?"},
                        {"content": f"Ş {n}", "role": "assistant"},
                    ]
                ),
            }
            for n in range(per_source)
        ],
        first_image=300,
    )
    return ids


def copied(filled: FilledWorkspace, folder: Path) -> FilledWorkspace:
    shutil.copytree(filled.workspace.root, folder / "work")
    return replace(filled, workspace=Workspace(folder / "work"), numbers=dict(filled.numbers))


MakeFilled = Callable[..., FilledWorkspace]
"""`make(name, kind)`: an empty workspace; `kind` is the format of its images."""
