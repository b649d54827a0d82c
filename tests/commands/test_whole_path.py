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


def every_file(root: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in root.rglob("*")}


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


def demo_sources(demo: Path) -> list[dict[str, Any]]:
    common = {"license": "CC-PDDC", "caption": {"sidecar": ".txt"}, "category": "art/{dir}"}
    return [
        {"name": "clipart", "adapter": "files", "path": str(demo / "clipart"), **common},
        {"name": "people", "adapter": "archive", "path": str(demo / "people.tar.gz"), **common},
    ]


SAMPLE: dict[str, Any] = {"name": "s", "seed": 1, "target": 40, "balance": "equal"}


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pth": "x"}, "did you mean 'path'?"),
        ({"path": "nowhere"}, "nowhere"),
        ({"path": "empty"}, "no items"),
        ({"category": "{dri}"}, "did you mean {dir}?"),
        ({"adapter": "filse"}, "did you mean 'files'?"),
        ({"license": ""}, "license"),
    ],
)
def test_a_wrong_declaration_is_one_error_and_nothing_is_written(
    project: MakeProject, demo: Path, change: dict[str, str], message: str
) -> None:
    good, _ = demo_sources(demo)
    bad = {**good, "name": "second", **change}
    if bad["path"] in ("nowhere", "empty"):
        bad["path"] = f"../{bad['path']}"
    mine = project([good, bad])
    (mine.config.parent.parent / "empty").mkdir()
    result = mine.derlem("run", code=2)
    assert message in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert not mine.work.exists()


def test_dry_run_writes_nothing(project: MakeProject, demo: Path) -> None:
    mine = project(demo_sources(demo), sample=SAMPLE)
    mine.derlem("run")
    before = every_file(mine.config.parent)
    for command in (
        "run",
        "discover",
        "ingest",
        "sample",
        "build",
        "retry",
        "catalog compact",
        "catalog rebuild",
    ):
        mine.derlem("--dry-run", *command.split())
        assert every_file(mine.config.parent) == before, command


def test_dry_run_of_a_new_workspace_writes_nothing(project: MakeProject, demo: Path) -> None:
    mine = project(demo_sources(demo), sample=SAMPLE)
    before = every_file(mine.config.parent)
    result = mine.derlem("--dry-run", "run")
    assert "clipart: 61 items" in result.stderr
    assert every_file(mine.config.parent) == before


def test_test_mode_processes_a_few_items_in_its_own_workspace(project: MakeProject, demo: Path) -> None:
    mine = project(demo_sources(demo), sample={**SAMPLE, "target": 10_000}, test_mode={"items": 5})
    mine.derlem("--test-mode", "run")
    assert not mine.work.exists()
    trial = mine.config.parent / "work-test"
    assert json.loads((trial / "corpora" / "s" / "stats.json").read_text())
    result = mine.derlem(
        "--test-mode", "sql", "SELECT source, count(*) AS n FROM items GROUP BY ALL", "--format", "json"
    )
    assert {row["source"]: row["n"] for row in json.loads(result.stdout)} == {"clipart": 5, "people": 5}


def test_the_audit_finds_samples_of_a_removed_source(project: MakeProject, demo: Path) -> None:
    sources = demo_sources(demo)
    mine = project(sources, sample=SAMPLE)
    mine.derlem("run")
    fewer = project(sources[:1], name="fewer", sample=SAMPLE)
    shutil.move(mine.work, fewer.work)
    fewer.derlem("discover")
    result = fewer.derlem("audit", "--format", "json", code=3)
    failed = [row for row in json.loads(result.stdout) if row["severity"] == "error" and row["rows"]]
    assert failed and all(row["first rows"] for row in failed)
    fewer.derlem("sample")
    fewer.derlem("build")
    fewer.derlem("audit")


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
    for view in ("composition", "progress", "rejections", "licenses", "quota_report"):
        assert mine.rows(f"FROM {view}"), view
    assert mine.derlem("sql", "SELEC 1", code=2).stderr.startswith("Error: Parser Error")


def test_init_writes_a_configuration_that_loads(tmp_path: Path, demo: Path) -> None:
    from click.testing import CliRunner

    from derlem.cli import main
    from derlem.settings.load import load

    path = tmp_path / "new" / "derlem.yaml"
    assert CliRunner().invoke(main, ["init", str(path)]).exit_code == 0
    assert load([path]).config.sample is not None
    before = path.read_text()
    assert CliRunner().invoke(main, ["init", str(path)]).exit_code == 2
    assert path.read_text() == before
    assert list(path.parent.iterdir()) == [path]


def test_withdrawn_items_leave_catalog_manifest_and_shards(project: MakeProject, demo: Path) -> None:
    mine = project(demo_sources(demo), sample={**SAMPLE, "target": 60}, corpus={"shard_size": "200kB"})
    mine.derlem("run")
    before = {row["shard"]: row["sha256"] for row in mine.rows("FROM shards")}
    held = mine.rows(
        "SELECT item_id FROM manifest m JOIN items i USING (item_id) WHERE i.uri LIKE '%beverages%'"
    )
    assert held and len(before) > 3
    result = mine.derlem("--dry-run", "withdraw", "--where", "uri LIKE '%beverages%'")
    assert "would be withdrawn" in result.stderr and mine.rows("FROM items WHERE status = 'withdrawn'") == []
    mine.derlem("withdraw", "--where", "uri LIKE '%beverages%'")
    mine.derlem("audit")
    after = {row["shard"]: row["sha256"] for row in mine.rows("FROM shards")}
    assert set(after) == set(before) and after != before
    assert [shard for shard in after if after[shard] == before[shard]], "untouched shards stay"
    mine.derlem("withdraw", "--where", "nonsense(", code=2)
    mine.derlem("withdraw", code=2)
    assert mine.rows("SELECT count(*) AS n FROM manifest") == [{"n": 60 - len(held)}]


@pytest.mark.parametrize("form", ["webdataset", "parquet"])
def test_takedown_from_a_corpus_whose_sample_was_drawn_again(
    project: MakeProject, demo: Path, form: str
) -> None:
    """The corpus's shards contain an earlier draw that is no longer in a manifest."""
    mine = project(demo_sources(demo), sample={**SAMPLE, "target": 60}, corpus={"format": form})
    mine.derlem("run")
    name = SAMPLE["name"]
    earlier = {row["item_id"] for row in mine.rows(f"FROM manifest WHERE corpus = '{name}'")}
    mine.derlem("--set", f"sample.seed={SAMPLE['seed'] + 1}", "sample")
    drawn = {row["item_id"] for row in mine.rows(f"FROM manifest WHERE corpus = '{name}'")}
    gone = min(earlier - drawn)
    messages = mine.derlem("withdraw", "--key", gone).stderr
    assert "drawn again since it was built" in messages
    held = {row["item_id"] for row in mine.rows(f"FROM manifest WHERE corpus = '{name}'")}
    assert held == drawn
    mine.derlem("audit")
    assert "nothing is left to withdraw" in mine.derlem("withdraw", "--key", gone).stderr


def test_takedown_without_matching_items_is_an_error(project: MakeProject, demo: Path) -> None:
    mine = project(demo_sources(demo), sample={**SAMPLE, "target": 60})
    mine.derlem("run")
    for arguments in (["--key", "0" * 32], ["--source", "nobody"]):
        for dry in ([], ["--dry-run"]):
            assert "holds no such item" in mine.derlem(*dry, "withdraw", *arguments, code=2).stderr
    assert "nothing is left" in mine.derlem("withdraw", "--where", "uri = 'nowhere'").stderr
    item = mine.rows("FROM manifest LIMIT 1")[0]["item_id"]
    assert "1 items withdrawn" in mine.derlem("withdraw", "--key", f"{item}-r2").stderr
    mine.derlem("audit")
