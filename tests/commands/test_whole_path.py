"""The commands build an audited corpus from declared sources of real images."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from derlem.catalog.maintenance import TABLES
from tests.factories.demo_sources import SAMPLE, demo_sources
from tests.factories.stamps import make_stamps

MakeProject = Callable[..., Any]
CAPTION = {"sidecar": ".txt", "format": "stamps", "languages": ["tr", "en"]}


@pytest.fixture(params=["made", "real"])
def stamps(
    request: pytest.FixtureRequest, material: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder of stamps: 130 generated ones, or the 796 of Tux Paint."""
    if request.param == "real":
        return material("stamps")
    return make_stamps(tmp_path_factory.mktemp("stamps"), 130)


def stamps_source(stamps: Path) -> dict[str, Any]:
    return {
        "name": "stamps",
        "adapter": "files",
        "path": str(stamps),
        "category": "stamps/{dir}",
        "caption": CAPTION,
        "license": "GPL-2.0-only",
    }


def turkish_captions(stamps: Path) -> dict[str, str]:
    """The sidecar's text after `tr.utf8=` in NFC, by image."""
    found = {}
    for sidecar in stamps.rglob("*.txt"):
        for line in sidecar.read_text("utf-8").splitlines():
            if line.startswith("tr.utf8="):
                image = sidecar.with_suffix(".png").relative_to(stamps).as_posix()
                found[image] = unicodedata.normalize("NFC", line.removeprefix("tr.utf8="))
    return found


@pytest.mark.parametrize("form", ["webdataset", "parquet"])
def test_stamps_to_a_corpus_that_loads(
    project: MakeProject, stamps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    count = len(list(stamps.rglob("*.png")))
    mine = project(
        [stamps_source(stamps)],
        sample={"name": "s", "seed": 3, "target": count, "allow_shortfall": True},
        corpus={"format": form, "shard_size": "8MB" if count > 500 else "100KB"},
    )
    mine.derlem("run")
    [progress] = mine.rows("FROM progress")
    assert (progress["discovered"], progress["pending"], progress["failed"]) == (count, 0, 0)
    assert progress["ready"] + progress["rejected"] == count

    items = mine.rows("SELECT uri, category, caption, language FROM items")
    captions = turkish_captions(stamps)
    assert len(captions) > 0.8 * count
    by_uri = {item["uri"]: item for item in items}
    assert {uri: by_uri[uri]["caption"] for uri in captions} == captions
    assert {item["language"] for uri, item in by_uri.items() if uri in captions} == {"tr"}
    for item in items:
        assert item["category"] == "/".join(["stamps", *Path(item["uri"]).parts[:-1]])

    selected = mine.rows(
        "SELECT item_id, m.category, caption FROM manifest m JOIN items i USING (item_id) ORDER BY position"
    )
    assert 0.85 * count < len(selected) < count, "only duplicates are excluded"
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    import datasets

    folder = mine.work / "corpora" / "s"
    loaded = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(loaded) == len(selected)
    for row, expected in zip(loaded, selected, strict=True):
        record = row["json"] if form == "webdataset" else row
        image = row["jpg"] if form == "webdataset" else row["image"]
        assert record["category"] == expected["category"].split("/")
        assert record["caption"] == (expected["caption"] or "")
        assert image.size == (record["width"], record["height"])
        image.load()
    if form == "webdataset":
        import webdataset

        shards = sorted(str(path) for path in folder.glob("*.tar"))
        samples = list(webdataset.WebDataset(shards, shardshuffle=False).decode("pil"))
        assert [sample["__key__"] for sample in samples] == [item["item_id"] for item in selected]
        assert [sample["json"]["caption"] for sample in samples] == [
            item["caption"] or "" for item in selected
        ]
        assert all(sample["jpg"].size[0] > 0 for sample in samples)


def test_the_same_images_in_five_packagings(project: MakeProject, stamps: Path, tmp_path: Path) -> None:
    images = sorted(path for path in stamps.rglob("*") if path.is_file())
    with zipfile.ZipFile(tmp_path / "stamps.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for path in images:
            packed.write(path, path.relative_to(stamps))
    for name, mode in (("stamps.tar", "w"), ("stamps.tar.gz", "w:gz")):
        with tarfile.open(tmp_path / name, mode) as packed_tar:  # type: ignore[call-overload]
            for path in images:
                packed_tar.add(path, path.relative_to(stamps))
    with tarfile.open(tmp_path / "webdataset-000000.tar", "w") as shard:
        for number, path in enumerate(path for path in images if path.suffix == ".png"):
            for suffix in (".png", ".txt"):
                part = path.with_suffix(suffix)
                if part.exists():
                    data = part.read_bytes()
                    info = tarfile.TarInfo(f"{number:06d}{suffix}")
                    info.size = len(data)
                    shard.addfile(info, io.BytesIO(data))
    common = {"license": "GPL-2.0-only", "caption": CAPTION}
    names = {"zip": "stamps.zip", "tar": "stamps.tar", "targz": "stamps.tar.gz", "wds": "webdataset-*.tar"}
    mine = project(
        [
            {"name": "loose", "adapter": "files", "path": str(stamps), **common},
            *(
                {"name": name, "adapter": "archive", "path": str(tmp_path / path), **common}
                for name, path in names.items()
            ),
        ]
    )
    mine.derlem("run")
    sets: dict[str, list[tuple[str, str | None]]] = {}
    for row in mine.rows("SELECT source, sha256, caption FROM items WHERE status = 'ready'"):
        sets.setdefault(row["source"], []).append((row["sha256"], row["caption"] or ""))
    loose = sorted(sets.pop("loose"))
    assert len(loose) == len(list(stamps.rglob("*.png"))) and set(sets) == set(names)
    for name, found in sets.items():
        assert sorted(found) == loose, name


def test_a_catalog_rebuilt_from_segments_is_equal(project: MakeProject, demo: Path) -> None:
    mine = project(demo_sources(demo), sample=SAMPLE, corpus={"shard_size": "500kB"})
    mine.derlem("run")
    mine.derlem("withdraw", "--where", "uri LIKE '%beverages%'")
    mine.derlem("retry")
    before = {table: mine.rows(f"FROM {table} ORDER BY ALL") for table in TABLES}
    assert all(before.values())
    (mine.work / "catalog.duckdb").unlink()
    mine.derlem("catalog", "rebuild")
    for table in TABLES:
        assert mine.rows(f"FROM {table} ORDER BY ALL") == before[table], table
    mine.derlem("catalog", "compact")
    for table in TABLES:
        assert mine.rows(f"FROM {table} ORDER BY ALL") == before[table], table


def test_the_deduplication_index_follows_changes(
    project: MakeProject, demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rebuilt catalog has no index, and gives the same draw."""
    images = tmp_path / "images"
    shutil.copytree(demo / "clipart", images)
    source = {**demo_sources(demo)[0], "path": str(images)}
    mine = project([source], sample={**SAMPLE, "target": 10_000, "allow_shortfall": True})

    def drawn() -> set[str]:
        return {row["uri"] for row in mine.rows("SELECT uri FROM manifest JOIN items USING (item_id)")}

    def draw() -> set[str]:
        mine.derlem("sample")
        duplicates, found = mine.rows("FROM dedup_items ORDER BY ALL"), drawn()
        mine.derlem("catalog", "rebuild")
        assert mine.rows("FROM dedup_index") == []
        mine.derlem("sample")
        assert (mine.rows("FROM dedup_items ORDER BY ALL"), drawn()) == (duplicates, found)
        return found

    mine.derlem("discover")
    mine.derlem("ingest")
    before = draw()
    one = next(images.rglob("*.png"))
    other = one.with_name("copy.png")
    shutil.copy(one, other)
    both = {str(path.relative_to(images)) for path in (one, other)}
    mine.derlem("discover")
    monkeypatch.setattr("derlem.execution.DEDUP_INDEX_AFTER", 1)
    mine.derlem("ingest")
    assert both <= {row["uri"] for row in mine.rows("SELECT uri FROM dedup_items JOIN items USING (item_id)")}
    after = draw()
    [stays] = both & after
    assert after - both == before - both
    mine.derlem("withdraw", "--where", f"uri = '{stays}'")
    assert draw() == after - both, "a copy is withdrawn with what it is a copy of"


def test_a_moved_workspace_still_works(project: MakeProject, demo: Path, tmp_path: Path) -> None:
    mine = project(demo_sources(demo), sample=SAMPLE)
    mine.derlem("run")
    shards = mine.rows("SELECT sha256 FROM shards")
    moved = tmp_path / "moved"
    shutil.move(mine.config.parent, moved)
    mine.config = moved / "derlem.yaml"
    mine.derlem("audit")
    mine.derlem("run")
    assert mine.rows("SELECT sha256 FROM shards") == shards


def test_a_path_may_look_like_a_pattern(project: MakeProject, demo: Path) -> None:
    mine = project(demo_sources(demo), sample=SAMPLE, name="a [b] *{c,d}% 'e' ü")
    mine.derlem("run")
    mine.derlem("catalog", "rebuild")
    mine.derlem("catalog", "compact")
    mine.derlem("withdraw", "--source", demo_sources(demo)[0]["name"], "--purge")
    mine.derlem("audit")


def test_running_again_changes_nothing(project: MakeProject, demo: Path) -> None:
    mine = project(demo_sources(demo), sample=SAMPLE)
    mine.derlem("run")
    before = mine.rows("FROM items ORDER BY item_id"), mine.rows("FROM manifest ORDER BY position")
    segments = sorted((mine.work / "store").rglob("*.parquet"))
    mine.derlem("run")
    assert before == (mine.rows("FROM items ORDER BY item_id"), mine.rows("FROM manifest ORDER BY position"))
    assert sorted((mine.work / "store").rglob("*.parquet")) == segments


def test_new_files_and_a_new_category_template_are_applied(
    project: MakeProject, demo: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    shutil.copytree(demo / "clipart" / "food", folder)
    source = {
        "name": "food",
        "adapter": "files",
        "path": str(folder),
        "license": "MIT",
        "category": "a/{dir}",
    }
    mine = project([source])
    mine.derlem("run")
    before = mine.rows("SELECT item_id, sha256, category FROM items ORDER BY item_id")
    shutil.copyfile(next((demo / "clipart" / "plants").glob("*.png")), folder / "new.png")
    mine.config.write_text(mine.config.read_text().replace("a/{dir}", "b/{dir}"))
    mine.derlem("run")
    after = mine.rows("SELECT item_id, sha256, category FROM items ORDER BY item_id")
    assert len(after) == len(before) + 1
    kept = {row["item_id"]: row for row in after}
    for row in before:
        assert kept[row["item_id"]] == {**row, "category": row["category"].replace("a", "b", 1)}


def test_listings_come_in_every_format(project: MakeProject, demo: Path) -> None:
    mine = project(demo_sources(demo), sample=SAMPLE)
    mine.derlem("run")
    for command in (["status"], ["sql", "FROM licenses"], ["audit"], ["doctor"], ["sample"]):
        assert json.loads(mine.derlem(*command, "--format", "json").stdout)
        lines = mine.derlem(*command, "--format", "csv").stdout.splitlines()
        assert len(lines) > 1 and "," in lines[0]


def test_every_view_can_be_queried(project: MakeProject, demo: Path) -> None:
    mine = project(demo_sources(demo), sample=SAMPLE)
    mine.derlem("run")
    for view in (
        "composition",
        "funnel",
        "licenses",
        "progress",
        "quota_report",
        "rejections",
        "run_history",
    ):
        assert mine.rows(f"FROM {view}"), view
    assert mine.derlem("sql", "SELEC 1", code=2).stderr.startswith("Error: Parser Error")


def test_sidecars_that_do_not_decode_are_one_warning(
    project: MakeProject, demo: Path, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    shutil.copytree(demo / "clipart" / "food", images)
    first, second, *_ = sorted(images.rglob("*.txt"))
    for sidecar in (first, second):
        sidecar.write_bytes("ağaç".encode("cp1254"))
    source = {"name": "s", "adapter": "files", "path": str(images), "caption": {}, "license": "CC0-1.0"}
    result = project([source]).derlem("run")
    warnings = [line for line in result.stderr.splitlines() if "do not decode or parse" in line]
    assert len(warnings) == 1 and "s: the sidecars of 2 items" in warnings[0]


def test_rejections_of_a_listing_are_counted(project: MakeProject, demo: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    shutil.copytree(demo / "clipart" / "food", images)
    (images / "link.png").symlink_to(tmp_path / "elsewhere.png")
    (images / "text.png").write_text("not an image")
    source = {"name": "s", "adapter": "files", "path": str(images), "caption": {}, "license": "CC0-1.0"}
    messages = project([source]).derlem("run").stderr
    assert "s: 1 rejected when listed" in messages and "2 rejected: `derlem sql" in messages


def test_identical_copies_of_a_takedown_are_named(project: MakeProject, demo: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    shutil.copytree(demo / "clipart" / "food", images)
    image = min(images.rglob("*.png"))
    shutil.copy(image, images / "copy.png")
    source = {"name": "s", "adapter": "files", "path": str(images), "license": "CC0-1.0"}
    mine = project([source])
    mine.derlem("run")
    where = ("withdraw", "--where", "uri = 'copy.png'")
    planned = mine.derlem("--dry-run", *where).stderr
    assert "2 items would be withdrawn: 1 selected, 1 identical copies" in planned
    assert "1 of these are identical copies" in mine.derlem(*where).stderr


def test_sums_of_views_are_plain_integers(project: MakeProject, demo: Path) -> None:
    mine = project(demo_sources(demo))
    mine.derlem("discover")
    types = mine.rows("SELECT DISTINCT data_type FROM duckdb_columns() WHERE NOT internal")
    assert "HUGEINT" not in {row["data_type"] for row in types}
