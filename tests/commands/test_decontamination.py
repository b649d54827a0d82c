"""Evaluation images are excluded from a corpus, for every form of their declaration."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

MakeProject = Callable[..., Any]
SAMPLE = {"name": "s", "seed": 1, "target": 20, "balance": "natural"}


def clipart(demo: Path) -> list[dict[str, Any]]:
    folder = str(demo / "clipart")
    return [{"name": "clipart", "adapter": "files", "path": folder, "license": "CC-PDDC"}]


def images(demo: Path) -> list[Path]:
    return sorted((demo / "clipart").rglob("*.png"))


def left_out(mine: Any) -> set[str]:
    """The file names of ready items that are not in the sample."""
    rows = mine.rows(
        "SELECT uri FROM items WHERE status = 'ready' AND item_id NOT IN (SELECT item_id FROM manifest)"
    )
    return {Path(row["uri"]).name for row in rows}


def excluded(mine: Any) -> int:
    rows = mine.rows("SELECT items FROM exclusions WHERE corpus = 's' AND reason = 'excluded'")
    return rows[0]["items"] if rows else 0


def everything(**more: Any) -> dict[str, Any]:
    return {**SAMPLE, "target": 10_000, "allow_shortfall": True, **more}


def test_a_folder_of_evaluation_images(project: MakeProject, demo: Path, tmp_path: Path) -> None:
    first, second, *_ = images(demo)
    evaluation = tmp_path / "evaluation" / "deep"
    evaluation.mkdir(parents=True)
    shutil.copy(first, evaluation / "copy.png")
    with Image.open(second) as image:  # another encoding: found by its difference hash
        flat = Image.new("RGB", image.size, "white")
        flat.paste(image.convert("RGBA"), mask=image.convert("RGBA"))
        flat.save(evaluation / "again.jpg", quality=60)
    (evaluation / "notes.txt").write_text("not an image")
    folder = {"folder": str(evaluation.parent), "distance": 4}

    plain = project(clipart(demo), "plain", sample=everything())
    plain.derlem("run")
    before = left_out(plain)
    assert not before & {first.name, second.name} and not excluded(plain)

    mine = project(clipart(demo), "clean", sample=everything(exclude=[folder]))
    mine.derlem("run")
    assert {first.name, second.name} <= left_out(mine)
    assert excluded(mine) >= 2
    assert "excluded" in mine.derlem("--dry-run", "sample").stdout
    assert "| excluded |" in (mine.work / "corpora" / "s" / "README.md").read_text()


def test_a_dataset_of_evaluation_images(
    project: MakeProject, demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    import datasets

    chosen = images(demo)[3]
    features = datasets.Features({"photo": datasets.Image()})
    rows = datasets.Dataset.from_dict({"photo": [{"bytes": chosen.read_bytes(), "path": None}]}, features)
    folder = tmp_path / "benchmark" / "data"
    folder.mkdir(parents=True)
    rows.to_parquet(str(folder / "test-00000-of-00001.parquet"))
    named = {"dataset": str(folder.parent), "split": "test", "column": "photo", "distance": None}
    mine = project(clipart(demo), sample=everything(exclude=[named]))
    mine.derlem("run")
    assert chosen.name in left_out(mine)
    assert excluded(mine) >= 1


def test_an_evaluation_set_that_cannot_be_read_is_an_error(
    project: MakeProject, demo: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "readme.txt").write_text("the images are elsewhere")
    mine = project(clipart(demo), sample=everything(exclude=[str(empty)]))
    messages = mine.derlem("run", code=2).stderr
    assert "no image" in messages and str(empty) in messages
    (empty / "broken.png").write_bytes(io.BytesIO(images(demo)[0].read_bytes()).read(200))
    assert "no image" in mine.derlem("sample", code=2).stderr
    assert mine.rows("FROM manifests") == []
