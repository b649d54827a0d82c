"""Corpora as their users load them: with datasets, webdataset and mlcroissant."""

from __future__ import annotations

import hashlib
import io
import json

import pytest
from etils import epath

from derlem.corpus.build import build_corpus
from derlem.corpus.corpus_options import CorpusOptions


@pytest.fixture(autouse=True)
def _own_caches(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "hf")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(
        "mlcroissant._src.operation_graph.operations.extract.EXTRACT_PATH", epath.Path(tmp_path / "cr")
    )


def build(pantry, format="webdataset", size="25KB"):
    options = CorpusOptions.model_validate({"format": format, "shard_size": size})
    return build_corpus(pantry.workspace, "small", options, "run-3", 1, lambda *_: None)


def wanted(pantry):
    rows = pantry.ask("""
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


def seen(record, image):
    return {name: record[name] for name in ("caption", "category", "conversations", "sha256")} | {
        "size": image.size
    }


def check_datasets(samples, pantry, format):
    found = {}
    for sample in samples:
        record = sample["json"] if format == "webdataset" else sample
        image = sample["jpg"] if format == "webdataset" else sample["image"]
        assert record["key"] not in found
        found[record["key"]] = seen(record, image)
    assert found == wanted(pantry)


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("format", ["webdataset", "parquet"])
def test_folder_loads_with_datasets(pantry, format, streaming):
    import datasets

    folder = build(pantry, format).folder
    samples = datasets.load_dataset(str(folder), split="train", streaming=streaming)
    features = samples.features["json"] if format == "webdataset" else samples.features
    assert features["category"] == datasets.List(datasets.Value("string"))
    assert features["conversations"].feature == {
        "role": datasets.Value("string"),
        "content": datasets.Value("string"),
    }
    check_datasets(samples, pantry, format)


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("format", ["webdataset", "parquet"])
def test_bare_shards_load_with_datasets(pantry, format, streaming):
    import datasets

    result = build(pantry, format)
    files = [str(shard.path) for shard in result.shards]
    samples = datasets.load_dataset(format, data_files=files, split="train", streaming=streaming)
    check_datasets(samples, pantry, format)


@pytest.mark.parametrize("format", ["webdataset", "parquet"])
def test_one_conversation_among_many_captions(make_pantry, format):
    """The bare tars tell the types of all lists, however few of them are filled."""
    import datasets

    pantry = make_pantry()
    pantry.declare("clips")
    turns = '[{"role":"user","content":"<image>"}]'
    rows = [{"category": "", "caption": "a"} for _ in range(30)]
    pantry.store("clips", [*rows, {"conversations": turns}, {"category": "a/b"}])
    pantry.draw()
    result = build(pantry, format, "1GB")
    files = [str(shard.path) for shard in result.shards]
    samples = datasets.load_dataset(format, data_files=files, split="train")
    check_datasets(samples, pantry, format)


def test_no_conversation_at_all(make_pantry):
    import datasets

    pantry = make_pantry()
    pantry.declare("clips")
    pantry.store("clips", [{"caption": "a"} for _ in range(8)])
    pantry.draw()
    check_datasets(datasets.load_dataset(str(build(pantry).folder), split="train"), pantry, "webdataset")


@pytest.mark.parametrize("shuffle", [0, 100])
def test_webdataset_reads_the_tars(pantry, shuffle):
    import webdataset

    result = build(pantry)
    shards = f"{result.folder}/small-{{000000..{len(result.shards) - 1:06d}}}.tar"
    dataset = webdataset.WebDataset(shards, shardshuffle=shuffle or False, seed=1)
    if shuffle:
        dataset = dataset.shuffle(shuffle)
    found = {sample["__key__"]: seen(sample["json"], sample["jpg"]) for sample in dataset.decode("pil")}
    assert found == wanted(pantry)


@pytest.mark.parametrize("format", ["webdataset", "parquet"])
def test_croissant_is_valid_and_gives_records(pantry, format):
    import mlcroissant

    folder = build(pantry, format).folder
    dataset = mlcroissant.Dataset(folder / "croissant.json")
    assert not dataset.metadata.issues.errors
    expected = wanted(pantry)
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


def test_croissant_names_every_shard_with_its_hash(pantry):
    result = build(pantry)
    description = json.loads((result.folder / "croissant.json").read_text())
    assert description["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    assert description["license"] == [
        "https://spdx.org/licenses/CC0-1.0.html",
        "https://spdx.org/licenses/CC-BY-4.0.html",
    ]
    named = {part["@id"]: part["sha256"] for part in description["distribution"] if "sha256" in part}
    files = [shard.path for shard in result.shards] + [result.folder / "manifest.parquet"]
    assert named == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_card_tells_what_is_in_it(pantry):
    text = (build(pantry).folder / "README.md").read_text()
    for told in (
        "41 image-text samples from 2 sources",
        "| `clips/animals` |",
        "https://openclipart.org/",
        "CC-BY-4.0",
        "load_dataset",
        "seed 7",
        "language:\n- tr\n",
    ):
        assert told in text, told


def test_parquet_is_an_image_column_to_any_reader(pantry):
    import pyarrow.parquet as pq
    from PIL import Image

    shard = build(pantry, "parquet").shards[0]
    schema = pq.read_schema(shard.path)
    assert json.loads(schema.metadata[b"huggingface"])["info"]["features"]["image"] == {"_type": "Image"}
    row = pq.read_table(shard.path).to_pylist()[0]
    with Image.open(io.BytesIO(row["image"]["bytes"])) as picture:
        assert picture.size == (row["width"], row["height"])
