"""`withdraw --purge` erases all residue of an item and changes no other item."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from derlem.adapters.http.body_cache import BodyCache
from derlem.adapters.http.body_store import BodyStore
from derlem.adapters.http.ledger import Known, Ledger
from derlem.catalog.connection import write_catalog
from derlem.catalog.counts import recount
from derlem.catalog.maintenance import TABLES
from derlem.core.workspace import Workspace

MakeProject = Callable[..., Any]
SAMPLE = {"name": "s", "seed": 1, "target": 10_000, "allow_shortfall": True}


def sources(demo: Path) -> list[dict[str, Any]]:
    common = {"license": "CC-PDDC", "adapter": "files"}
    clipart = {"name": "clipart", "path": str(demo / "clipart"), "caption": {"sidecar": ".txt"}}
    return [{**common, **clipart}, {**common, "name": "papers", "path": str(demo / "**" / "*.pdf")}]


def files(*folders: Path) -> Iterator[tuple[Path, bytes]]:
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                yield path, path.read_bytes()


def texts(store: Path) -> set[str]:
    """All captions in the rows of all segments."""
    found: set[str] = set()
    for path in store.glob("*/*.parquet"):
        found |= {text for text in pq.read_table(path, columns=["caption"]).column(0).to_pylist() if text}
    return found


def intact(mine: Any) -> int:
    """The number of ready items; asserts that each has its bytes."""
    ready = mine.rows("FROM items WHERE status = 'ready'")
    for item in ready:
        assert hashlib.sha256(mine.payload(item)).hexdigest() == item["sha256"]
    return len(ready)


@pytest.fixture
def mine(project: MakeProject, demo: Path) -> Any:
    made = project(sources(demo), sample=SAMPLE, corpus={"shard_size": "500kB"}, pdf={"dpi": 60})
    made.derlem("run")
    return made


def test_a_purge_leaves_no_residue(mine: Any, tmp_path: Path) -> None:
    item = mine.rows(
        "FROM items WHERE status = 'ready' AND source = 'clipart' AND caption IS NOT NULL"
        " AND sha256 IN (SELECT sha256 FROM items GROUP BY ALL HAVING count(*) = 1)"
        " ORDER BY length(caption) DESC LIMIT 1"
    )[0]
    image, before = mine.payload(item), intact(mine)
    assert item["caption"] in texts(mine.work / "store")
    shutil.copytree(mine.work / "store", tmp_path / "store")
    assert (
        "1 items would be withdrawn"
        in mine.derlem("--dry-run", "withdraw", "--key", item["item_id"], "--purge").stderr
    )

    mine.derlem("withdraw", "--key", item["item_id"], "--purge")
    for path, content in files(mine.work / "store", mine.work / "corpora", mine.work / "cache"):
        assert image not in content, path
        assert item["caption"].encode() not in content or path.suffix == ".parquet", path
    assert item["caption"] not in texts(mine.work / "store")
    assert mine.rows("SELECT caption, length FROM items WHERE status = 'withdrawn'") == [
        {"caption": None, "length": None}
    ]
    assert intact(mine) == before - 1
    mine.derlem("audit")
    assert mine.derlem("withdraw", "--purge").stderr.count("purged") == 0, "a repeated purge finds no residue"

    held = {table: mine.rows(f"FROM {table} ORDER BY ALL") for table in TABLES}
    mine.derlem("catalog", "rebuild")
    assert {table: mine.rows(f"FROM {table} ORDER BY ALL") for table in TABLES} == held

    tar = Path("clipart") / f"{Path(item['segment']).name}.tar"
    shutil.copy(tmp_path / "store" / tar, mine.work / "store" / tar)  # as a restored backup would
    assert "purged_but_there" in mine.derlem("audit", code=3).stdout
    mine.derlem("withdraw", "--purge")
    mine.derlem("audit")
    assert intact(mine) == before - 1


def test_earlier_withdrawals_and_documents(mine: Any) -> None:
    documents = mine.rows("SELECT original_sha256 FROM items WHERE status = 'expanded'")
    workspace = Workspace(mine.work)
    assert documents and all(workspace.cached(row["original_sha256"]).exists() for row in documents)
    pages = mine.rows("SELECT count(*) AS n FROM items WHERE source = 'papers' AND status = 'ready'")[0]["n"]
    mine.derlem("withdraw", "--source", "papers")
    assert all(workspace.cached(row["original_sha256"]).exists() for row in documents)
    before = intact(mine)
    messages = mine.derlem("withdraw", "--purge").stderr
    assert f"papers: {pages + len(documents)} items purged" in messages
    assert not any(workspace.cached(row["original_sha256"]).exists() for row in documents)
    assert intact(mine) == before
    for path in (mine.work / "store" / "papers").glob("*.tar"):
        assert b"\xff\xd8\xff" not in path.read_bytes()
    mine.derlem("audit")
    mine.derlem("run")
    assert mine.rows("SELECT DISTINCT status FROM items WHERE source = 'papers'") == [{"status": "withdrawn"}]


def test_a_document_of_a_withdrawn_page_is_erased_unless_pages_are_pending(
    project: MakeProject, demo: Path
) -> None:
    mine = project(sources(demo), pdf={"dpi": 60})
    mine.derlem("run")
    [first, *_] = mine.rows(
        "SELECT parent_id AS item_id FROM items WHERE parent_id IS NOT NULL GROUP BY ALL HAVING count(*) > 1"
    )
    pages = mine.rows(f"SELECT item_id FROM items WHERE parent_id = '{first['item_id']}' ORDER BY item_id")
    [held] = mine.rows(f"SELECT original_sha256 FROM items WHERE item_id = '{first['item_id']}'")
    workspace = Workspace(mine.work)
    document = workspace.cached(held["original_sha256"])
    with write_catalog(workspace) as connection:  # as after an interrupt before this page
        waits = [pages[1]["item_id"]]
        connection.execute("UPDATE items SET status = 'discovered' WHERE item_id = ?", waits)
        recount(connection)
    mine.derlem("withdraw", "--key", pages[0]["item_id"], "--purge")
    assert document.exists(), "a page of the document is pending"
    mine.derlem("run")
    assert "purged_but_there" in mine.derlem("audit", code=3).stdout
    mine.derlem("withdraw", "--purge")
    assert not document.exists(), "all pages are rendered, and one is withdrawn"
    mine.derlem("audit")


def test_small_bodies_in_packs(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    bodies = {f"https://example.org/{n}": bytes([65 + n]) * 1000 for n in range(5)}
    store, ledger = BodyStore(workspace), Ledger(workspace.ledger)
    places = {url: store.store(body) for url, body in bodies.items()}
    superseded = store.store(b"Z" * 1000)  # no URL refers to the body any more
    store.close()
    for url, place in places.items():
        ledger.remember(url, Known(place.sha256, place.size, place.pack, place.offset))
    ledger.close()
    gone = [place.sha256 for url, place in places.items() if url.endswith(("1", "3"))]
    with BodyCache(workspace) as found:
        assert set(found.find([*gone, superseded.sha256])) == set(gone)
        found.erase(gone)
        assert found.find(gone) == {}
    again = BodyStore(workspace)
    kept = [place.sha256 not in gone for place in places.values()]
    assert [again.load(place) is not None for place in places.values()] == kept
    content = b"".join(content for _, content in files(workspace.cache))
    assert not {66, 68, 90} & set(content)
    again.close()
    ledger = Ledger(workspace.ledger)
    assert set(ledger.known(list(bodies))) == {url for url in bodies if not url.endswith(("1", "3"))}
    ledger.close()


def test_packs_without_a_ledger_are_removed(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    store = BodyStore(workspace)
    store.store(b"A" * 1000)
    store.close()
    with BodyCache(workspace) as found:
        found.erase([])
    assert list(files(workspace.cache)) == []
