"""A small real catalog for the outbound side: pictures in segments, a drawn sample, all rows consistent."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from PIL import Image

from derlem.catalog.connection import read_catalog, transaction, write_catalog
from derlem.catalog.models import item_id
from derlem.catalog.samples import sample_number
from derlem.catalog.segment_files import inspect
from derlem.catalog.segments import row_schema
from derlem.core.workspace import Workspace
from derlem.corpus.build import build_corpus
from derlem.corpus.corpus_options import CorpusOptions
from derlem.pipeline.segment_writer import SegmentWriter

WHEN = datetime(2026, 1, 2, 3, 4, 5, 678901)
FORMATS = {"jpeg": ("image/jpeg", "jpg"), "png": ("image/png", "png"), "webp": ("image/webp", "webp")}


@dataclass
class Pantry:
    """A workspace that tests fill: `store` adds a segment, `draw` a sample of all that is ready."""

    workspace: Workspace
    pictures: Sequence[Path]
    kind: str = "jpeg"
    numbers: dict[str, int] = field(default_factory=dict)

    def picture(self, index: int) -> tuple[bytes, int, int]:
        """Bytes, width and height of a picture; a different one for every index."""
        with Image.open(self.pictures[index % len(self.pictures)]) as opened:
            flat = Image.new("RGB", opened.size, "white")
            rgba = opened.convert("RGBA")
            flat.paste(rgba, mask=rgba)
        side = 24 + index // len(self.pictures) % 40
        flat = flat.resize((side, side + index % 7))
        flat.putpixel((0, 0), (index % 256, index // 256 % 256, 99))
        out = io.BytesIO()
        flat.save(out, self.kind.upper(), quality=95)
        return out.getvalue(), *flat.size

    def declare(self, source: str, *, license: str = "CC0-1.0", homepage: str | None = None) -> None:
        """Write a source's declaration into the catalog."""
        config = json.dumps({"name": source, "adapter": "files"})
        with write_catalog(self.workspace) as connection:
            position = one(connection, "SELECT count(*) FROM sources")
            connection.execute(
                "INSERT INTO sources VALUES (?, ?, 'files', ?, ?, ?, ?, ?, NULL)",
                [
                    source,
                    position,
                    license,
                    homepage,
                    config,
                    hashlib.sha256(config.encode()).hexdigest(),
                    WHEN,
                ],
            )

    def store(self, source: str, rows: Sequence[dict[str, Any]], first_picture: int = 0) -> list[str]:
        """Write a segment of ready items, one per entry of `rows` (columns to set); returns ids."""
        number = self.numbers.get(source, 0)
        self.numbers[source] = number + 1
        media_type, extension = FORMATS[self.kind]
        folder = self.workspace.store / source
        writer = SegmentWriter(folder, source=source, kind="ingest", run="run-1", schema=row_schema())
        ids = []
        for index, given in enumerate(rows):
            data, width, height = self.picture(first_picture + index)
            uri = given.get("uri", f"{number}/{index}.png")
            row: dict[str, Any] = dict.fromkeys(row_schema().names)
            row |= {
                "item_id": item_id(source, uri),
                "source": source,
                "uri": uri,
                "locator": "",
                "ordinal": number * 1000 + index,
                "unit": "",
                "category": "pictures",
                "media_type": media_type,
                "status": "ready",
                "attempts": 1,
                "sha256": hashlib.sha256(data).hexdigest(),
                "original_sha256": hashlib.sha256(uri.encode()).hexdigest(),
                "dhash": "0" * 16,
                "width": width,
                "height": height,
                "bytes": len(data),
                "license": "CC0-1.0",
                "meta": "{}",
                "hint": "{}",
                "run": "run-1",
                "discovered_at": WHEN,
                "updated_at": WHEN,
            } | given
            if row["status"] == "ready":
                writer.add_sample(row, data, extension, {"id": row["item_id"]})
            else:
                writer.add_row(row)
            ids.append(row["item_id"])
        written = writer.close()
        rows_path = folder / f"{number:06d}.parquet"
        if written.tar is not None:
            written.tar.rename(rows_path.with_suffix(".tar"))
        written.rows.rename(rows_path)
        with write_catalog(self.workspace) as connection:
            segment = inspect(self.workspace, rows_path)
            connection.execute(
                "INSERT INTO items BY NAME SELECT *, $name AS segment FROM read_parquet($path)",
                {"name": segment.name, "path": str(rows_path)},
            )
            connection.execute(
                "INSERT INTO segments VALUES (?, ?, ?, 'ingest', 'run-1', ?, ?, ?)",
                [segment.name, source, number, segment.items, segment.tar_bytes, segment.written_at],
            )
        return ids

    def draw(self, name: str = "small", repeats: Sequence[str] = ()) -> int:
        """Draw everything that is ready (and `repeats` once more) as the sample `name`; returns its size."""
        with write_catalog(self.workspace) as connection, transaction(connection):
            for table in ("samples", "allocations", "exclusions"):
                connection.execute(f"DELETE FROM {table} WHERE sample = ?", [name])
            number = sample_number(connection, name)
            connection.execute("DELETE FROM numbered_seats WHERE number = ?", [number])
            connection.execute(
                """CREATE OR REPLACE TEMP TABLE held AS
                SELECT item_id, category, source, 0 AS repeat FROM items WHERE status = 'ready'
                UNION ALL
                SELECT item_id, category, source, 1 FROM items
                WHERE list_contains($repeats::VARCHAR[], item_id)""",
                {"repeats": list(repeats)},
            )
            connection.execute(
                """INSERT INTO allocations
                WITH nodes AS (
                    SELECT category AS node, source, count(*) AS n, row_number() OVER () - 1 AS stratum
                    FROM held GROUP BY ALL
                    UNION ALL
                    SELECT array_to_string(parts[1:depth], '/'), '', count(*), NULL
                    FROM (SELECT CASE WHEN category = '' THEN [] ELSE string_split(category, '/') END AS parts
                          FROM held) AS split,
                         LATERAL (SELECT unnest(range(len(parts) + 1)) AS depth)
                    GROUP BY ALL
                )
                SELECT $name, node, source, n, 0, n, NULL, n, 'all there is', stratum FROM nodes""",
                {"name": name},
            )
            connection.execute(
                """INSERT INTO numbered_seats
                SELECT $number, row_number() OVER (ORDER BY md5('7:order:' || item_id || ':' || repeat)) - 1,
                       item_id, stratum, repeat
                FROM held
                JOIN allocations AS a ON a.sample = $name AND a.node = category AND a.source = held.source""",
                {"name": name, "number": number},
            )
            size = one(connection, f"SELECT count(*) FROM manifest WHERE sample = '{name}'")
            chosen = connection.execute(
                "SELECT item_id FROM manifest WHERE sample = ? ORDER BY position", [name]
            )
            fingerprint = hashlib.sha256(repr(chosen.fetchall()).encode()).hexdigest()
            connection.execute(
                "INSERT INTO samples VALUES (?, 7, ?, ?, '{}', ?, 'run-2', ?)",
                [name, size, size, fingerprint, WHEN],
            )
            connection.execute("INSERT INTO exclusions VALUES (?, 'duplicate', 3)", [name])
        return int(size)

    def change(self, sql: str, *values: object) -> None:
        """Change the catalog as only a test may."""
        with write_catalog(self.workspace) as connection:
            connection.execute(sql, list(values))

    def ask(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        with read_catalog(self.workspace) as connection:
            return connection.execute(sql, list(values)).fetchall()


def one(connection: duckdb.DuckDBPyConnection, sql: str) -> Any:
    row = connection.execute(sql).fetchone()
    assert row is not None
    return row[0]


def opens(path: Path) -> bool:
    """Whether it is whole: one of the demo's pictures is broken on purpose."""
    try:
        with Image.open(path) as picture:
            picture.load()
    except (OSError, SyntaxError, struct.error):
        return False
    return True


@pytest.fixture(scope="session")
def pictures(demo: Path) -> list[Path]:
    return [path for path in sorted(demo.rglob("*.png")) if opens(path)]


@pytest.fixture
def make_pantry(tmp_path: Path, pictures: list[Path]) -> Callable[..., Pantry]:
    """`make_pantry(name, kind)`: an empty workspace below the test's folder."""

    def make(name: str = "work", kind: str = "jpeg") -> Pantry:
        return Pantry(Workspace(tmp_path / name), pictures, kind)

    return make


def fill(pantry: Pantry, *, per_source: int = 20) -> list[str]:
    """Two sources: cliparts with Turkish captions in a tree, and chats with conversations."""
    pantry.declare("clips", homepage="https://openclipart.org/")
    pantry.declare("chats", license="CC-BY-4.0")
    ids: list[str] = []
    for half in range(2):
        ids += pantry.store(
            "clips",
            [
                {
                    "category": f"clips/{'animals' if n % 3 else 'tools/hand'}",
                    "caption": f'Bir "İğne" \\ çizimi {n}\n\t<ikinci satır>',
                    "language": "tr",
                }
                for n in range(per_source // 2)
            ],
            first_picture=half * 100,
        )
    ids += pantry.store(
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
        first_picture=300,
    )
    return ids


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory, pictures: list[Path]) -> dict[str, Pantry]:
    """What `pantry`, `built` and `built_parquet` are copied from."""
    pantry = Pantry(Workspace(tmp_path_factory.mktemp("pantry") / "work"), pictures)
    ids = fill(pantry)
    pantry.draw(repeats=[ids[0]])
    found = {"drawn": pantry}
    for format in ("webdataset", "parquet"):
        copy = Pantry(Workspace(tmp_path_factory.mktemp(format) / "work"), pictures)
        shutil.copytree(pantry.workspace.root, copy.workspace.root)
        options = CorpusOptions.model_validate({"format": format, "shard_size": "20KB"})
        build_corpus(copy.workspace, "small", options, "run-3", 1, lambda *_: None)
        found[format] = copy
    return found


@pytest.fixture
def pantry(templates: dict[str, Pantry], tmp_path: Path) -> Pantry:
    """40 items of two sources, a sample `small` of all of them with one repeat."""
    return copied(templates["drawn"], tmp_path)


@pytest.fixture
def built(templates: dict[str, Pantry], tmp_path: Path) -> Pantry:
    """The pantry with its corpus in small tars."""
    return copied(templates["webdataset"], tmp_path)


@pytest.fixture
def built_parquet(templates: dict[str, Pantry], tmp_path: Path) -> Pantry:
    """The pantry with its corpus in small Parquet shards."""
    return copied(templates["parquet"], tmp_path)


def copied(pantry: Pantry, folder: Path) -> Pantry:
    shutil.copytree(pantry.workspace.root, folder / "work")
    return replace(pantry, workspace=Workspace(folder / "work"), numbers=dict(pantry.numbers))
