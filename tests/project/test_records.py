"""Records of several images: from the rows of a dataset to both formats of a corpus, and withdrawn later."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageChops

import derlem

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
TURN = pa.struct([("from", pa.string()), ("value", pa.string())])
COUNTS = (1, 2, 5, 1, 2)
"""Images of each record."""
COCO = {"name": "coco", "adapter": "annotations", "path": "coco", "license": "CC0-1.0"}
COPY = {"name": "copy", "adapter": "files", "path": "copy", "license": "CC0-1.0"}


def draw(number: int) -> bytes:
    """A PNG image, another one for each number."""
    step = number % 12
    extent = (-2.0 + step / 8, -1.5, 1.0, 1.5 - step / 9)
    image = Image.effect_mandelbrot((48, 32), extent, 40).convert("RGB")
    image.putpixel((number % 48, 0), (250, number, 20))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "hf")


@pytest.fixture
def open_project(tmp_path: Path) -> Callable[..., derlem.Project]:
    """`open_project(**sections)`: a project of one dataset whose rows have COUNTS images."""
    numbers = iter(range(sum(COUNTS)))
    rows = [
        {
            "key": f"r{row}",
            "images": [{"bytes": draw(next(numbers)), "path": None} for _ in range(count)],
            "turns": [
                {"from": "human", "value": "<image>" * count + "Ne var?"},
                {"from": "gpt", "value": f"{row}"},
            ],
        }
        for row, count in enumerate(COUNTS)
    ]
    schema = pa.schema([("key", pa.string()), ("images", pa.list_(IMAGE)), ("turns", pa.list_(TURN))])
    (tmp_path / "set").mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / "set" / "train.parquet")
    source = {
        "name": "chats",
        "adapter": "huggingface",
        "dataset": "./set",
        "license": "CC0-1.0",
        "columns": {"key": "key", "conversations": "turns"},
    }
    sample = {"name": "small", "seed": 3, "target": 100, "allow_shortfall": True}

    def make(more: Sequence[dict[str, Any]] = (), **sections: Any) -> derlem.Project:
        declared = {"sources": [source, *more], **sections, "sample": sample | sections.get("sample", {})}
        return derlem.Project(declared, base=tmp_path)

    return make


def expected(project: derlem.Project) -> dict[str, list[str]]:
    """The hashes of the stored images of every ready item, in order."""
    return {
        item.item_id: [hashlib.sha256(item.payload(number)).hexdigest() for number in range(item.images)]
        for item in project.items(status="ready")
    }


def test_a_row_is_one_item_with_all_of_its_images(open_project: Callable[..., derlem.Project]) -> None:
    project = open_project()
    project.run()
    items = list(project.items())
    assert [(item.status, item.images) for item in items] == [("ready", count) for count in COUNTS]
    numbers = iter(range(sum(COUNTS)))
    for item in items:
        for number in range(item.images):
            stored = item.image(number)
            drawn = Image.open(io.BytesIO(draw(next(numbers)))).convert("RGB")
            assert stored.size == drawn.size and np.asarray(ImageChops.difference(stored, drawn)).mean() < 4
        with pytest.raises(derlem.DerlemError, match="none with the number"):
            item.payload(item.images)
    assert project.sql("SELECT count(*) AS images FROM item_images").to_pylist() == [{"images": sum(COUNTS)}]
    assert project.audit().failed is False


def built(project: derlem.Project) -> Path:
    """The folder of the corpus after a run."""
    result = project.run()
    assert result.ok and result.build is not None
    return result.build.folder


def loaded(folder: Path, format: str, streaming: bool) -> Iterator[tuple[str, list[str], dict[str, Any]]]:
    """Id, hashes of the images and record of every sample, as `datasets` gives them."""
    import datasets

    samples = datasets.load_dataset(str(folder), split="train", streaming=streaming)
    undecoded = datasets.Image(decode=False)
    if format == "parquet":
        for sample in samples.cast_column("images", datasets.List(undecoded)):
            contents = [image["bytes"] for image in sample["images"]]
            yield sample["id"], [hashlib.sha256(data).hexdigest() for data in contents], sample
        return
    for column in [name for name, feature in samples.features.items() if isinstance(feature, datasets.Image)]:
        samples = samples.cast_column(column, undecoded)
    for sample in samples:
        columns = [name.partition(".")[2] for name in sample["json"]["images"]]
        contents = [sample[column]["bytes"] for column in columns]
        yield sample["json"]["id"], [hashlib.sha256(data).hexdigest() for data in contents], sample["json"]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("format", ["webdataset", "parquet"])
def test_datasets_loads_them_in_order(
    open_project: Callable[..., derlem.Project], format: str, streaming: bool
) -> None:
    project = open_project(corpus={"format": format, "shard_size": "20KB"})
    folder = built(project)
    found = list(loaded(folder, format, streaming))
    assert {key: hashes for key, hashes, _ in found} == expected(project)
    for _, hashes, record in found:
        assert record["conversations"][0]["content"].count("<image>") == len(hashes)


def test_webdataset_loads_them_in_order(open_project: Callable[..., derlem.Project]) -> None:
    import webdataset

    project = open_project(corpus={"shard_size": "1GB"})
    shard = built(project) / "small-000000.tar"
    found = {}
    for sample in webdataset.WebDataset(str(shard), shardshuffle=False).decode("pil"):
        names = [name.partition(".")[2] for name in sample["json"]["images"]]
        found[sample["json"]["id"]] = [sample[name].size for name in names]
    assert found == {item.item_id: [(48, 32)] * item.images for item in project.items()}
    for sample in webdataset.WebDataset(str(shard), shardshuffle=False):
        record = json.loads(sample["json"])
        names = [name.partition(".")[2] for name in record["images"]]
        assert [hashlib.sha256(sample[name]).hexdigest() for name in names] == expected(project)[record["id"]]


@pytest.mark.parametrize("format", ["webdataset", "parquet"])
def test_a_withdrawn_record_leaves_nothing(open_project: Callable[..., derlem.Project], format: str) -> None:
    project = open_project(corpus={"format": format})
    folder = built(project)
    chosen = next(item for item in project.items() if item.images == 5)
    contents = [chosen.payload(number) for number in range(5)]
    project.withdraw(key=chosen.item_id, purge=True)
    left = {item.item_id for item in project.items(status="ready")}
    assert {key for key, _, _ in loaded(folder, format, streaming=True)} == left
    assert chosen.item_id not in left and len(left) == len(COUNTS) - 1
    for path in [path for path in folder.parents[1].rglob("*") if path.is_file()]:
        held = path.read_bytes()
        assert not any(content in held for content in contents), path
    assert project.run().ok
    assert [item.status for item in project.items() if item.item_id == chosen.item_id] == ["withdrawn"]


def test_an_image_of_a_withdrawn_record_stays_out(
    open_project: Callable[..., derlem.Project], tmp_path: Path
) -> None:
    project = open_project()
    project.run()
    pair = next(item for item in project.items() if item.images == 2)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "second.jpg").write_bytes(pair.payload(1))
    project.withdraw(key=pair.item_id)
    later = open_project(more=[COPY])
    later.run()
    assert {item.status for item in later.items(source="copy")} == {"withdrawn"}


def test_duplicates_are_found_on_the_second_image(
    open_project: Callable[..., derlem.Project], tmp_path: Path
) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "second.png").write_bytes(draw(2))  # of the second record
    project = open_project(more=[COPY], sample={"near_duplicates": 2})
    result = project.run()
    assert result.sample is not None and result.sample.plan.excluded == {"near_duplicate": 1}
    pair = next(item for item in project.items() if item.images == 2)
    assert pair.more_images is not None
    for digest in (
        pair.more_images[0].sha256,
        pair.more_images[0].original_sha256,
        pair.more_images[0].dhash,
    ):
        (tmp_path / "hashes.txt").write_text(f"{digest}\n")
        excluding = open_project(more=[COPY], sample={"exclude": [{"hashes": "hashes.txt", "distance": 0}]})
        plan = excluding.plan()
        assert plan.excluded == {"excluded": 2} and plan.total == len(COUNTS) - 1


def captioned(project: derlem.Project, count: int) -> None:
    """Write an annotation file beside the project's dataset: one image with `count` captions, and another."""
    folder = project.workspace.root.parent / "coco"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.png").write_bytes(draw(90 + ord(name)))
    captions = [{"image_id": 1, "caption": f"caption {number}"} for number in range(count)]
    images = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}]
    (folder / "captions.json").write_text(json.dumps({"images": images, "annotations": captions}))


def test_items_of_one_image_share_its_bytes(open_project: Callable[..., derlem.Project]) -> None:
    captioned(open_project(), 5)
    project = open_project(more=[COCO | {"captions": "each"}])
    assert project.run().ok
    items = list(project.items(source="coco"))
    assert len(items) == 6 and len({item.payload() for item in items}) == 2
    places = project.sql("SELECT DISTINCT segment, sha256 FROM items WHERE source = 'coco'").num_rows
    members = 0
    for path in (project.workspace.store / "coco").glob("*.tar"):
        with tarfile.open(path) as tar:
            members += len(tar.getmembers())
    assert members == places < len(items)
    project.withdraw(key=items[0].item_id, purge=True)
    assert [item.status for item in project.items(source="coco")] == ["withdrawn"] * 5 + ["ready"]
    assert project.audit().failed is False
    project.withdraw(purge=True)  # again, with nothing left to erase
    assert project.run().ok


def test_a_purge_spares_an_image_that_another_item_has_now(
    open_project: Callable[..., derlem.Project], tmp_path: Path
) -> None:
    """An item whose image changed is withdrawn; an item of the same segment still has the earlier image."""
    (tmp_path / "copy").mkdir()
    for name in ("a", "b"):
        (tmp_path / "copy" / f"{name}.png").write_bytes(draw(95))
    project = open_project(more=[COPY])
    project.run()
    (tmp_path / "copy" / "a.png").write_bytes(draw(96))
    assert project.run().ok
    first, second = project.items(source="copy")
    kept = second.payload()
    project.withdraw(key=first.item_id, purge=True)
    first, second = project.items(source="copy")
    assert (first.status, second.status) == ("withdrawn", "ready") and second.payload() == kept
    assert project.audit().failed is False
