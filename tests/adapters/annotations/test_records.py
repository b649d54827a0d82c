"""Records of every shape and format: texts, images and reasons as the file has them."""

from __future__ import annotations

import io
import json
import os
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from derlem.adapters.annotations.adapter import AnnotationsOptions
from derlem.catalog.models import Failure
from derlem.catalog.status import Reason
from derlem.core.errors import ConfigError

from .conftest import Used, photo

Use = Callable[..., Used]


def turns(question: str) -> list[dict[str, str]]:
    return [{"from": "human", "value": question}, {"from": "gpt", "value": "Evet."}]


LLAVA = [
    {"id": 1, "image": "deep/a.jpg", "conversations": turns("<image>\nNe?")},
    {
        "id": "two",
        "image": ["deep/d.jpg", "deep/f.jpg"],
        "conversations": turns("<image><image>?"),
        "task": "fark",
    },
    {"id": 3, "conversations": turns("Resim yok.")},
    {"id": 4, "image": None, "conversations": turns("Resim yok.")},
]


def test_llava(use: Use) -> None:
    used = use(LLAVA)
    items = used.items()
    assert [(item.locator, item.reason, item.images) for item in items] == [
        ("1", None, 1),
        ("two", None, 2),
        ("3", Reason.NO_IMAGE, 1),
        ("4", Reason.NO_IMAGE, 1),
    ]
    assert items[1].conversations == [
        {"role": "user", "content": "<image><image>?"},
        {"role": "assistant", "content": "Evet."},
    ]
    assert items[1].meta == {"id": "two", "task": "fark"}
    assert used.images() == {"1": [photo("a")], "two": [photo("d"), photo("f")]}


COCO = {
    "info": {"year": 2026},
    "images": [
        {"id": 7, "file_name": "deep/a.jpg"},
        {"id": "8", "file_name": "deep/d.jpg"},
        {"id": 9, "file_name": "x"},
    ],
    "annotations": [
        *({"id": number, "image_id": 7, "caption": f"caption {number}"} for number in range(5)),
        {"id": 5, "image_id": 8, "caption": "other", "category_id": 2},
        {"id": 6, "image_id": 99, "caption": "of nothing"},
    ],
    "categories": [{"id": 2, "name": "kedi"}],
}


@pytest.mark.parametrize("order", [("images", "annotations"), ("annotations", "images")])
def test_coco(use: Use, order: tuple[str, str]) -> None:
    content = {name: COCO[name] for name in ("info", *order, "categories")}
    first, second, missing, orphan = use(content).items()
    assert first.caption == "caption 0" and first.captions == [f"caption {number}" for number in range(5)]
    assert (second.caption, second.captions, second.category) == ("other", None, "kedi")
    assert missing.reason is Reason.MISSING
    assert (orphan.reason, orphan.locator) == (
        Reason.BAD_ROW,
        "record annotations/7",
    ) and "99" in orphan.meta["detail"]
    assert use(content).images() == {"7": [photo("a")], "8": [photo("d")]}


def test_captions_of_an_image(use: Use) -> None:
    """Five captions, as COCO has them."""
    counts = {mode: use(COCO, captions=mode).items()[:-2] for mode in ("all", "first", "each")}
    assert [len(items) for items in counts.values()] == [2, 2, 6]
    assert [item.captions for item in counts["first"]] == [None, None]
    each = counts["each"][:5]
    assert [item.caption for item in each] == [f"caption {number}" for number in range(5)]
    assert [item.locator for item in each] == ["7", "7#2", "7#3", "7#4", "7#5"]
    assert len({item.item_id for item in each}) == 5 and {item.captions for item in each} == {None}


ROWS = [
    {"file": "deep/a.jpg", "text": "bir", "kind": "x/y"},
    {"file": "deep/e.jpg", "text": "iki", "kind": "z"},
]


def delimited(separator: str) -> str:
    return "\n".join([separator.join(ROWS[0]), *(separator.join(row.values()) for row in ROWS)])


def parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), out)
    return out.getvalue()


def arrow(*, stream: bool) -> bytes:
    out = io.BytesIO()
    table = pa.Table.from_pylist(ROWS)
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", json.dumps(ROWS)),
        ("b.json", json.dumps({"version": 1, "data": ROWS})),
        ("a.jsonl", "\n".join(map(json.dumps, ROWS))),
        ("a.csv", delimited(",")),
        ("b.csv", delimited(";")),
        ("a.tsv", delimited("\t")),
        ("a.parquet", parquet()),
        ("a.arrow", arrow(stream=False)),
        ("b.arrow", arrow(stream=True)),
    ],
)
def test_rows_of_every_format(use: Use, name: str, content: object) -> None:
    columns = {"image": "file", "caption": "text", "category": "kind"}
    used = use(content, name, columns=columns)
    assert [(item.caption, item.category, item.meta) for item in used.items()] == [
        ("bir", "x/y", {}),
        ("iki", "z", {}),
    ]
    assert list(used.images().values()) == [[photo("a")], [photo("e")]]
    assert [item.item_id for item in used.items()] == [item.item_id for item in used.items()]


@pytest.mark.parametrize(
    "name",
    [
        *("deep/a.jpg", "./deep/a.jpg", "deep\\a.jpg", "deep//a.jpg", "deep/../deep/a.jpg", "Deep/A.JPG"),
        *("deep/a%2Ejpg", "deep/d.jpg", "./deep/d.jpg", "deep\\d.jpg", "DEEP/D.jpg", "deep/d%2ejpg"),
    ],
)
def test_spellings_of_a_name(use: Use, name: str) -> None:
    [images] = use([{"image": name}]).images().values()
    assert images == [photo("d" if "d.jpg" in name.lower().replace("%2e", ".")[-5:] else "a")]


@pytest.mark.parametrize("stored", ["NFC", "NFD"])
@pytest.mark.parametrize("named", ["NFC", "NFD"])
def test_unicode_forms(
    use: Use, places: Path, stored: Literal["NFC", "NFD"], named: Literal["NFC", "NFD"]
) -> None:
    name = "göğüş.jpg"
    (places / "folder" / unicodedata.normalize(stored, name)).write_bytes(photo("ü"))
    with zipfile.ZipFile(places / "photos.zip", "a") as archive:
        archive.writestr(unicodedata.normalize(stored, f"z{name}"), photo("z"))
    records = [{"image": unicodedata.normalize(named, text)} for text in (name, f"z{name}")]
    assert list(use(records).images().values()) == [[photo("ü")], [photo("z")]]


def test_the_first_place_wins(use: Use, places: Path, caplog: pytest.LogCaptureFixture) -> None:
    (places / "folder" / "deep" / "d.jpg").write_bytes(photo("first"))
    assert list(use([{"image": "deep/d.jpg"}]).images().values()) == [[photo("first")]]
    assert "1 images are in several places; the first is used" in caplog.text


def test_names_that_differ_in_case_are_told_apart(use: Use, places: Path) -> None:
    with zipfile.ZipFile(places / "photos.zip", "a") as archive:
        archive.writestr("deep/D.jpg", photo("D"))
    used = use([{"id": name, "image": f"deep/{name}.jpg"} for name in ("d", "D")], columns={"key": "id"})
    assert used.images() == {"d": [photo("d")], "D": [photo("D")]}
    [ambiguous] = use([{"image": "DEEP/d.jpg"}]).items()
    assert ambiguous.reason is Reason.MISSING


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("../a.jpg", Reason.UNSAFE_PATH),
        ("/etc/passwd", Reason.UNSAFE_PATH),
        ("deep/../../x", Reason.UNSAFE_PATH),
        ("%2e%2e/a.json", Reason.MISSING),
        ("nowhere.jpg", Reason.MISSING),
        ("deep", Reason.MISSING),
        ("a\0.jpg", Reason.UNSAFE_PATH),
        ("https://example.org/a.jpg", Reason.BAD_ROW),
        (7, Reason.BAD_ROW),
        ([["deep/a.jpg"]], Reason.BAD_ROW),
        (["deep/a.jpg", ""], Reason.BAD_ROW),
        (["deep/a.jpg", None], Reason.BAD_ROW),
        ([], Reason.NO_IMAGE),
        ("", Reason.NO_IMAGE),
        (["deep/a.jpg", "nowhere.jpg"], Reason.MISSING),
    ],
)
def test_a_bad_image_rejects_its_record_alone(use: Use, image: object, reason: Reason) -> None:
    good = {"image": "deep/a.jpg"}
    first, bad, last = use([good, {"image": image}, {**good, "n": 2}]).items()
    assert (first.reason, bad.reason, last.reason) == (None, reason, None)
    assert bad.meta["detail"]
    if isinstance(image, list) and reason is Reason.MISSING:
        assert bad.meta["detail"].startswith(
            "image 2 of 2: nowhere.jpg is not in folder, photos.zip, more.tar"
        )


def test_a_link_out_of_the_folder_is_not_followed(use: Use, places: Path) -> None:
    (places / "secret.jpg").write_bytes(photo("secret"))
    (places / "folder" / "link.jpg").symlink_to(places / "secret.jpg")
    used = use([{"image": "link.jpg"}])
    results = used.read([item for item in used.items() if item.reason is None])
    assert all(isinstance(result, Failure) and result.reason is Reason.LINK for result in results.values())


@pytest.mark.parametrize(
    "record",
    [
        {"image": "deep/a.jpg", "conversations": "not turns"},
        {"image": "deep/a.jpg", "conversations": [{"from": "nobody", "value": "x"}]},
        {"image": "deep/a.jpg", "conversations": [[]]},
    ],
)
def test_a_bad_conversation_rejects_its_record(use: Use, record: dict[str, Any]) -> None:
    good, bad = use([LLAVA[0], record], shape="llava").items()
    assert (good.reason, bad.reason) == (None, Reason.BAD_ROW)


@pytest.mark.parametrize(
    ("caption", "captions"),
    [(5, ["5"]), (None, []), ("", []), (["a", "", None, "a", "b"], ["a", "b"]), (" \n", [])],
)
def test_captions_of_odd_types(use: Use, caption: object, captions: list[str]) -> None:
    [item] = use([{"image": "deep/a.jpg", "text": caption}], columns={"caption": "text"}).items()
    assert (item.captions or ([item.caption] if item.caption else [])) == captions


def test_nested_captions_are_bad_rows(use: Use) -> None:
    [item] = use([{"image": "deep/a.jpg", "text": [["a"]]}], columns={"caption": "text"}).items()
    assert item.reason is Reason.BAD_ROW


def test_repeated_ids_are_numbered(use: Use) -> None:
    records = [{"id": 1, "image": f"deep/{name}.jpg", "conversations": turns("<image>")} for name in "abc"]
    assert use(records).images() == {"1": [photo("a")], "1~2": [photo("b")], "1~3": [photo("c")]}


def test_a_cut_file_keeps_its_records_and_is_reported(use: Use) -> None:
    text = json.dumps(LLAVA)
    items = use(text[: text.index('"task"')]).items()
    assert [(item.locator, item.reason) for item in items] == [("1", None), ("", Reason.BAD_ROW)]
    assert "ends early" in items[1].meta["detail"]


def test_records_move_without_their_images(use: Use, places: Path) -> None:
    """A record is known by its id or content, never by its place in the file."""
    before = {item.item_id: item.revision for item in use(LLAVA).items()}
    after = {item.item_id: item.revision for item in use(list(reversed(LLAVA))).items()}
    assert before == after
    changed = places / "folder" / "deep" / "a.jpg"
    os.utime(changed, ns=(1, 1))
    assert [item.revision != before[item.item_id] for item in use(LLAVA).items()] == [
        True,
        False,
        False,
        False,
    ]


def test_an_image_that_changed_is_not_read(use: Use, places: Path) -> None:
    used = use(LLAVA)
    [item] = [item for item in used.items() if item.locator == "1"]
    (places / "folder" / "deep" / "a.jpg").write_bytes(photo("other"))
    [result] = used.read([item]).values()
    assert isinstance(result, Failure) and result.reason is Reason.CHANGED


@pytest.mark.parametrize(
    ("mode", "contents", "reason"),
    [("keep", ["Ne?", "Evet."], None), ("reject", ["Ne?", "Evet."], Reason.PLACEHOLDERS),
     ("first", ["<image>\nNe?", "Evet."], None)],
)  # fmt: skip
def test_placeholders(use: Use, mode: str, contents: list[str], reason: Reason | None) -> None:
    records = [{"id": 1, "image": "deep/a.jpg", "conversations": turns("Ne?")}, LLAVA[1]]
    lacking, sound = use(records, placeholders=mode).items()
    assert [turn["content"] for turn in lacking.conversations or ()] == contents and lacking.reason is reason
    assert (
        sound.reason is None
        and sound.conversations
        and sound.conversations[0]["content"] == "<image><image>?"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": ["/nowhere"]}, "there is nothing at"),
        ({"columns": {"image": "img_path"}}, "has no column 'img_path'"),
        ({"columns": {"caption": "txt"}}, "there is no column 'txt'"),
        ({"category": "{nope}"}, "does not exist"),
    ],
)
def test_invalid_declarations(use: Use, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        use(LLAVA, **options).items()


@pytest.mark.parametrize("key", ["path", "images"])
@pytest.mark.parametrize("address", ["s3://bucket/prefix", "hf://datasets/org/name/images"])
def test_places_are_local(key: str, address: str) -> None:
    options = {"name": "s", "adapter": "annotations", "license": "CC0-1.0", "path": "a.json", key: address}
    with pytest.raises(ValidationError, match="a URL in place of a local path: copy or mount it first"):
        AnnotationsOptions.model_validate(options)


def test_a_compressed_tar_is_no_place(use: Use, places: Path) -> None:
    import gzip

    (places / "packed.tar.gz").write_bytes(gzip.compress((places / "more.tar").read_bytes()))
    with pytest.raises(ConfigError, match="a compressed tar, which cannot be read by name"):
        use(LLAVA, images=[str(places / "packed.tar.gz")]).items()


def test_images_lie_beside_their_file_by_default(use: Use, places: Path) -> None:
    used = use([{"image": "folder/deep/a.jpg"}], images=[])
    assert list(used.images().values()) == [[photo("a")]]
