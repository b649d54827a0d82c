"""Corpora as their users load them: with datasets, webdataset and mlcroissant."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from etils import epath

from derlem.corpus.build import BuildResult, build_corpus
from derlem.corpus.corpus_options import CorpusOptions
from derlem.corpus.withdraw import withdraw_from_corpora
from tests.factories.filled_workspace import FilledWorkspace, MakeFilled


@pytest.fixture(autouse=True)
def _own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "hf")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(
        "mlcroissant._src.operation_graph.operations.extract.EXTRACT_PATH", epath.Path(tmp_path / "cr")
    )


def build(filled: FilledWorkspace, format: str = "webdataset", size: str = "25KB") -> BuildResult:
    options = CorpusOptions.model_validate({"format": format, "shard_size": size})
    return build_corpus(filled.workspace, "small", options, "run-3", 1, lambda *_: None)


def wanted(filled: FilledWorkspace) -> dict[str, dict[str, Any]]:
    rows = filled.ask("""
        SELECT item_id || CASE WHEN repeat > 0 THEN '-r' || repeat ELSE '' END, i.caption, m.category,
               i.conversations, i.sha256, i.width, i.height
        FROM manifest m JOIN items i USING (item_id)""")
    return {
        key: {
            "caption": caption or "",
            "category": category.split("/") if category else [],
            "conversations": [
                {"role": turn["role"], "content": turn["content"]}
                for turn in json.loads(conversations or "[]")
            ],
            "sha256": sha256,
            "size": (width, height),
        }
        for key, caption, category, conversations, sha256, width, height in rows
    }


def seen(record: dict[str, Any], image: Any) -> dict[str, Any]:
    return {name: record[name] for name in ("caption", "category", "conversations", "sha256")} | {
        "size": image.size
    }


def check_datasets(samples: Iterable[dict[str, Any]], filled: FilledWorkspace, format: str) -> None:
    found = {}
    for sample in samples:
        record = sample["json"] if format == "webdataset" else sample
        image = sample["jpg"] if format == "webdataset" else sample["image"]
        assert record["key"] not in found
        found[record["key"]] = seen(record, image)
    assert found == wanted(filled)


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("format", ["webdataset", "parquet"])
def test_folder_loads_with_datasets(filled: FilledWorkspace, format: str, streaming: bool) -> None:
    import datasets

    folder = build(filled, format).folder
    samples = datasets.load_dataset(str(folder), split="train", streaming=streaming)
    features = samples.features["json"] if format == "webdataset" else samples.features
    assert features["category"] == datasets.List(datasets.Value("string"))
    assert features["conversations"].feature == {
        "role": datasets.Value("string"),
        "content": datasets.Value("string"),
    }
    check_datasets(samples, filled, format)


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("format", ["webdataset", "parquet"])
def test_bare_shards_load_with_datasets(filled: FilledWorkspace, format: str, streaming: bool) -> None:
    import datasets

    result = build(filled, format)
    files = [str(shard.path) for shard in result.shards]
    samples = datasets.load_dataset(format, data_files=files, split="train", streaming=streaming)
    check_datasets(samples, filled, format)


@pytest.mark.parametrize("format", ["webdataset", "parquet"])
def test_one_conversation_among_many_captions(make_filled: MakeFilled, format: str) -> None:
    """The bare tars show the types of all lists, however few of them are filled."""
    import datasets

    filled = make_filled()
    filled.declare("clips")
    turns = '[{"role":"user","content":"<image>"}]'
    rows = [{"category": "", "caption": "a"} for _ in range(30)]
    filled.store("clips", [*rows, {"conversations": turns}, {"category": "a/b"}])
    filled.draw()
    result = build(filled, format, "1GB")
    files = [str(shard.path) for shard in result.shards]
    samples = datasets.load_dataset(format, data_files=files, split="train")
    check_datasets(samples, filled, format)


def test_no_conversation_at_all(make_filled: MakeFilled) -> None:
    import datasets

    filled = make_filled()
    filled.declare("clips")
    filled.store("clips", [{"caption": "a"} for _ in range(8)])
    filled.draw()
    check_datasets(datasets.load_dataset(str(build(filled).folder), split="train"), filled, "webdataset")


@pytest.mark.parametrize("shuffle", [0, 100])
def test_webdataset_reads_the_tars(filled: FilledWorkspace, shuffle: bool) -> None:
    import webdataset

    result = build(filled)
    shards = f"{result.folder}/small-{{000000..{len(result.shards) - 1:06d}}}.tar"
    dataset = webdataset.WebDataset(shards, shardshuffle=shuffle or False, seed=1)
    if shuffle:
        dataset = dataset.shuffle(shuffle)
    found = {sample["__key__"]: seen(sample["json"], sample["jpg"]) for sample in dataset.decode("pil")}
    assert found == wanted(filled)


@pytest.mark.parametrize("format", ["webdataset", "parquet"])
def test_croissant_is_valid_and_gives_records(filled: FilledWorkspace, format: str) -> None:
    import mlcroissant

    folder = build(filled, format).folder
    dataset = mlcroissant.Dataset(folder / "croissant.json")
    assert not dataset.metadata.issues.errors
    expected = wanted(filled)
    records = list(dataset.records("samples"))
    assert len(records) == len(expected)
    for record in records:
        key = record["samples/key"].decode()
        sample = expected.pop(key)
        assert record["samples/caption"].decode() == sample["caption"]
        assert [step.decode() for step in record["samples/category"] if step] == sample["category"]
        assert record["samples/image"].size == sample["size"]
        turns = [
            {
                "role": turn["samples/conversations/role"].decode(),
                "content": turn["samples/conversations/content"].decode(),
            }
            for turn in record["samples/conversations"]
        ]
        assert turns == sample["conversations"]
    assert not expected


def test_croissant_names_every_shard_with_its_hash(filled: FilledWorkspace) -> None:
    result = build(filled)
    description = json.loads((result.folder / "croissant.json").read_text())
    assert description["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    assert description["license"] == [
        "https://spdx.org/licenses/CC0-1.0.html",
        "https://spdx.org/licenses/CC-BY-4.0.html",
    ]
    named = {part["@id"]: part["sha256"] for part in description["distribution"] if "sha256" in part}
    files = [shard.path for shard in result.shards] + [result.folder / "manifest.parquet"]
    assert named == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_card_tells_what_is_in_it(filled: FilledWorkspace) -> None:
    text = (build(filled).folder / "README.md").read_text()
    for statement in (
        "41 image-text samples from 2 sources",
        "| `clips/animals` |",
        "https://openclipart.org/",
        "CC-BY-4.0",
        "load_dataset",
        "seed 7",
        "language:\n- tr\n",
    ):
        assert statement in text, statement


def test_parquet_is_an_image_column_to_any_reader(filled: FilledWorkspace) -> None:
    import pyarrow.parquet as pq
    from PIL import Image

    shard = build(filled, "parquet").shards[0]
    schema = pq.read_schema(shard.path)
    assert json.loads(schema.metadata[b"huggingface"])["info"]["features"]["image"] == {"_type": "Image"}
    row = pq.read_table(shard.path).to_pylist()[0]
    with Image.open(io.BytesIO(row["image"]["bytes"])) as image:
        assert image.size == (row["width"], row["height"])


@pytest.mark.parametrize("format", ["webdataset", "parquet"])
def test_a_corpus_without_samples_loads(make_filled: MakeFilled, format: str) -> None:
    import datasets

    filled = make_filled()
    filled.declare("clips")
    filled.store("clips", [{"caption": "a"}])
    filled.draw()
    filled.change("UPDATE items SET status = 'withdrawn', reason = 'takedown'")
    filled.change("DELETE FROM manifest_rows")
    folder = build(filled, format).folder
    # without streaming, `datasets` refuses every dataset without samples
    assert list(datasets.load_dataset(str(folder), split="train", streaming=True)) == []


@pytest.mark.parametrize("format", ["webdataset", "parquet"])
def test_a_changed_corpus_is_loaded_anew(filled: FilledWorkspace, format: str) -> None:
    """From one cache of `datasets`, before and after a takedown."""
    import datasets

    folder = build(filled, format).folder

    def loaded() -> set[str]:
        samples = datasets.load_dataset(str(folder), split="train")
        return {sample["id"] for sample in (samples["json"] if format == "webdataset" else samples)}

    before = loaded()
    gone = min(before)
    filled.change("UPDATE items SET status = 'withdrawn', reason = 'takedown' WHERE item_id = ?", gone)
    withdraw_from_corpora(filled.workspace, CorpusOptions(), "r", 1, lambda *_: None)
    assert loaded() == before - {gone}


def test_corpora_of_one_name_are_loaded_apart(make_filled: MakeFilled) -> None:
    import datasets

    found = []
    for caption in ("bir", "iki"):
        filled = make_filled(caption)
        filled.declare("clips")
        filled.store("clips", [{"caption": caption} for _ in range(3)])
        filled.draw()
        samples = datasets.load_dataset(str(build(filled).folder), split="train")
        found.append({record["caption"] for record in samples["json"]})
    assert found == [{"bir"}, {"iki"}]
