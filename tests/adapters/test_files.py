"""Folders of files: every file is listed once, in a fixed order, and read unchanged."""

import json
import os
import socket
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from derlem.adapters.base import Context
from derlem.adapters.files.adapter import FilesAdapter, FilesOptions
from derlem.adapters.tree import Tree
from derlem.catalog.models import Failure, Item, Payload
from derlem.catalog.status import Reason
from derlem.core.errors import ConfigError
from derlem.core.workspace import Workspace


def adapter(tmp_path: Path) -> FilesAdapter:
    return FilesAdapter(Context(Workspace(tmp_path / "work")))


def options(path: Path | str, **more: object) -> FilesOptions:
    return FilesOptions.model_validate(
        {"name": "s", "adapter": "files", "license": "CC0-1.0", "path": str(path), **more}
    )


def listed(tmp_path: Path, source: FilesOptions) -> list[Item]:
    return [item for batch in adapter(tmp_path).discover(source) for item in batch]


def read(tmp_path: Path, source: FilesOptions, items: list[Item]) -> dict[str, Payload | Failure]:
    uris = {item.item_id: item.uri for item in items}
    return {uris[one]: outcome for one, outcome in adapter(tmp_path).read(source, iter(items))}


def grow(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode("utf-8", "surrogateescape"))
    return root


def uris(tmp_path: Path, path: Path | str, **more: object) -> list[str]:
    return [item.uri for item in listed(tmp_path, options(path, **more))]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def test_order_is_files_then_folders_sorted(tmp_path: Path, root: Path) -> None:
    grow(root, "b.png", "a.png", "A/z.png", "a/2.png", "a/10.png", "a/b/c.png")
    assert uris(tmp_path, root) == ["a.png", "b.png", "A/z.png", "a/10.png", "a/2.png", "a/b/c.png"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.png", ["a.png"]),
        ("*/*.png", ["x/b.png"]),
        ("**/*.png", ["a.png", "x/b.png", "x/y/c.png"]),
        ("x/**", ["b.png", "y/c.jpg", "y/c.png"]),
        ("**/y/*", ["x/y/c.jpg", "x/y/c.png"]),
        ("**/**/c.*", ["x/y/c.jpg", "x/y/c.png"]),
        ("x/y/c.[jk]pg", ["c.jpg"]),
        ("x/?.png", ["b.png"]),
        ("x", ["b.png", "y/c.jpg", "y/c.png"]),
        ("x/b.png", ["b.png"]),
        ("x/*/nothing", []),
    ],
)
def test_globs_count_from_the_last_folder_before_a_wildcard(
    tmp_path: Path, root: Path, pattern: str, expected: list[str]
) -> None:
    grow(root, "a.png", "x/b.png", "x/y/c.png", "x/y/c.jpg")
    assert uris(tmp_path, root / pattern) == expected


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "b", "ab", "*", "**", "a*", "?"]), min_size=1, max_size=4),
)
def test_globs_agree_with_pathlib(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
    base = tmp_path_factory.getbasetemp() / "globs"
    if not base.exists():
        grow(base, "f", "a/f", "b/a", "a/a/a", "a/b/ab", "ab/ab/b/a", "b/ab/a/b")
    pattern = "/".join([*steps[:-1], "*" if steps[-1] == "**" else steps[-1]])
    assume(not (base / pattern).is_dir())  # a folder means all of its files
    expected = sorted(path for path in set(base.glob(pattern)) if path.is_file())
    try:
        tree = Tree(str(base / pattern))
    except ConfigError:
        assert not expected
        return
    found = [Path(tree.root, folder.join(name)) for folder in tree.folders() for name in folder.files]
    assert sorted(found) == expected


def test_an_existing_path_is_not_a_glob(tmp_path: Path, root: Path) -> None:
    grow(root, "[2019] a*/1.png", "2/1.png")
    assert uris(tmp_path, root / "[2019] a*") == ["1.png"]
    assert uris(tmp_path, root / "[2019] a*" / "1.png") == ["1.png"]


@pytest.mark.parametrize("path", ["nothing", "nothing/*.png", "a.png/b"])
def test_a_missing_path_is_a_config_error(tmp_path: Path, root: Path, path: str) -> None:
    grow(root, "a.png")
    with pytest.raises(ConfigError, match="nothing at") as error:
        listed(tmp_path, options(root / path))
    assert error.value.key == "path"


def test_an_unknown_field_is_an_error_before_the_listing(tmp_path: Path, root: Path) -> None:
    with pytest.raises(ConfigError, match=r"dri.*did you mean"):
        listed(tmp_path, options(root, category="{dri}"))


def test_categories(tmp_path: Path, root: Path) -> None:
    grow(root, "x/y/z/Kedi.v2.PNG", "bare")
    template = "t/{dir}|{top}|{parent}|{name}|{stem}|{ext}"
    found = {item.uri: item.category for item in listed(tmp_path, options(root, category=template))}
    assert found["x/y/z/Kedi.v2.PNG"] == "t/x/y/z|x|z|Kedi.v2.PNG|Kedi.v2|png"
    assert found["bare"] == "t/|||bare|bare|"
    plain = {item.uri: item.category for item in listed(tmp_path, options(root, category="p/{dir}"))}
    assert plain == {"bare": "p", "x/y/z/Kedi.v2.PNG": "p/x/y/z"}


def test_hidden_names_and_the_workspace_are_skipped(tmp_path: Path, root: Path) -> None:
    grow(root, "a.png", ".b.png", ".git/c.png", "work/d.png")
    inside = FilesAdapter(Context(Workspace(root / "work")))
    assert [i.uri for batch in inside.discover(options(root)) for i in batch] == ["a.png"]
    assert uris(tmp_path, root, hidden=True) == [".b.png", "a.png", ".git/c.png", "work/d.png"]


def test_links(tmp_path: Path, root: Path) -> None:
    grow(root, "x/a.png")
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    (root / "inside.png").symlink_to("x/a.png")
    (root / "out.png").symlink_to(secret)
    (root / "dangling.png").symlink_to("nowhere")
    (root / "loop").symlink_to(".")
    source = options(root)
    items = listed(tmp_path, source)
    reasons = {item.uri: item.reason for item in items}
    assert reasons == {
        "inside.png": None,
        "x/a.png": None,
        "out.png": Reason.LINK,
        "dangling.png": Reason.LINK,
        "loop": Reason.LINK,
    }
    outcomes = read(tmp_path, source, items)
    assert isinstance(outcomes["inside.png"], Payload)
    for item in items:
        if item.reason:
            outcome = outcomes[item.uri]
            assert isinstance(outcome, Failure)
            assert item.meta["detail"]


def test_a_file_that_becomes_a_link_out_is_not_followed(tmp_path: Path, root: Path) -> None:
    grow(root, "a.png")
    items = listed(tmp_path, options(root))
    (root / "a.png").unlink()
    (root / "a.png").symlink_to("/etc/passwd")
    outcome = read(tmp_path, options(root), items)["a.png"]
    assert isinstance(outcome, Failure)
    assert outcome.reason is Reason.LINK


@pytest.mark.parametrize("inside", [True, False])
def test_a_folder_that_becomes_a_link_is_not_followed(tmp_path: Path, root: Path, inside: bool) -> None:
    grow(root, "x/y/a.png")
    items = listed(tmp_path, options(root))
    elsewhere = (root if inside else tmp_path) / "elsewhere"
    (root / "x").rename(elsewhere)
    (root / "x").symlink_to(elsewhere)
    outcome = read(tmp_path, options(root), items)["x/y/a.png"]
    assert isinstance(outcome, Failure)
    assert outcome.reason is Reason.LINK


def test_entries_that_are_not_files(tmp_path: Path, root: Path) -> None:
    os.mkfifo(root / "pipe.png")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket"))
        assert {item.reason for item in listed(tmp_path, options(root))} == {Reason.SPECIAL_FILE}


def test_a_file_that_becomes_a_pipe_does_not_block(tmp_path: Path, root: Path) -> None:
    grow(root, "a.png")
    items = listed(tmp_path, options(root))
    (root / "a.png").unlink()
    os.mkfifo(root / "a.png")
    outcome = read(tmp_path, options(root), items)["a.png"]
    assert isinstance(outcome, Failure)
    assert outcome.reason is Reason.SPECIAL_FILE


def test_names_of_all_kinds_are_read_exactly(tmp_path: Path, root: Path) -> None:
    nfc, nfd = unicodedata.normalize("NFC", "ığüş.png"), unicodedata.normalize("NFD", "ığüş.png")
    names = [nfc, nfd, os.fsdecode(b"k\xfd\xfe.png"), "k\\xfd\\xfe.png", "new\nline.png", "d/" + nfd]
    grow(root, *names)
    items = listed(tmp_path, options(root, category="{dir}/{stem}"))
    assert len({item.item_id for item in items}) == len(names)
    contents = {
        outcome.data
        for outcome in read(tmp_path, options(root), items).values()
        if isinstance(outcome, Payload)
    }
    assert contents == {os.fsencode(name) for name in names}
    for item in items:
        item.uri.encode()
        assert unicodedata.is_normalized("NFC", item.category)


def test_changes_between_listing_and_reading(tmp_path: Path, root: Path) -> None:
    grow(root, "gone.png", "empty.png", "big.png", "x/gone.png", "fine.png")
    (root / "empty.png").write_bytes(b"")
    (root / "big.png").write_bytes(bytes(100))
    source = options(root, max_bytes=99)
    items = listed(tmp_path, source)
    (root / "gone.png").unlink()
    (root / "x/gone.png").unlink()
    (root / "x").rmdir()
    (root / "x").write_bytes(b"now a file")
    outcomes = read(tmp_path, source, items)
    reasons = {uri: getattr(outcome, "reason", None) for uri, outcome in outcomes.items()}
    assert reasons == {
        "gone.png": Reason.MISSING,
        "x/gone.png": Reason.MISSING,
        "empty.png": Reason.EMPTY,
        "big.png": Reason.TOO_MANY_BYTES,
        "fine.png": None,
    }


def test_a_deleted_root_fails_its_items(tmp_path: Path, root: Path) -> None:
    grow(root, "x/a.png", "b.png")
    for path in (root, root / "x" / "*.png", root / "b.png"):
        source = options(path)
        items = listed(tmp_path, source)
        assert all(isinstance(outcome, Payload) for outcome in read(tmp_path, source, items).values())
        root.rename(tmp_path / "elsewhere")
        assert {getattr(one, "reason", None) for one in read(tmp_path, source, items).values()} == {
            Reason.MISSING
        }
        (tmp_path / "elsewhere").rename(root)


@pytest.fixture
def nobody() -> Iterator[None]:
    """Root can read all files, so the test of missing permissions runs as another user."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


def test_unreadable_files_and_folders(tmp_path: Path, root: Path, request: pytest.FixtureRequest) -> None:
    grow(root, "a.png", "closed/b.png", "z.png")
    for path in (root, *root.parents):
        if path.is_relative_to(Path(request.config.rootpath)) or path == Path("/"):
            break
        if path.owner() == root.owner() and not path.stat().st_mode & 0o001:
            path.chmod(path.stat().st_mode | 0o055)
    (root / "a.png").chmod(0)
    (root / "closed").chmod(0)
    request.getfixturevalue("nobody")
    items = listed(tmp_path, options(root))
    assert {item.uri: item.reason for item in items} == {
        "a.png": None,
        "z.png": None,
        "closed/": Reason.UNREADABLE,
    }
    outcomes = read(tmp_path, options(root), items)
    assert isinstance(outcomes["a.png"], Failure)
    assert outcomes["a.png"].reason is Reason.UNREADABLE
    assert isinstance(outcomes["z.png"], Payload)
    closed = outcomes["closed/"]
    assert isinstance(closed, Failure)
    assert closed.reason is Reason.UNREADABLE


def test_only_sidecars_without_an_image_are_items(tmp_path: Path, root: Path) -> None:
    grow(root, "a.png", "a.jpg", "a.txt", "b.png", "b.png.txt", "c.v1.png", "c.v1.TXT")
    grow(root, "d.png", "README.txt")
    source = options(root, caption={})
    items = listed(tmp_path, source)
    assert [item.uri for item in items] == ["README.txt", "a.jpg", "a.png", "b.png", "c.v1.png", "d.png"]
    outcomes = read(tmp_path, source, items)
    captions = {
        uri: outcome.updates.get("caption")
        for uri, outcome in outcomes.items()
        if isinstance(outcome, Payload)
    }
    assert captions == {
        "README.txt": None,
        "a.jpg": "a.txt",
        "a.png": "a.txt",
        "b.png": "b.png.txt",
        "c.v1.png": "c.v1.TXT",
        "d.png": None,
    }


def test_sidecars_outside_the_glob_are_found(tmp_path: Path, root: Path) -> None:
    grow(root, "x/a.png", "x/a.txt", "x/b.txt")
    source = options(root / "**/*.png", caption={"sidecar": ".txt"})
    items = listed(tmp_path, source)
    assert [item.uri for item in items] == ["x/a.png"]
    outcome = read(tmp_path, source, items)["x/a.png"]
    assert isinstance(outcome, Payload)
    assert outcome.updates == {"caption": "x/a.txt"}


def test_an_invalid_sidecar_keeps_the_image(tmp_path: Path, root: Path) -> None:
    grow(root, "a.png", "a.txt", "b.png", "b.txt", "c.png", "c.txt", "d.png", "d.txt")
    (root / "a.txt").write_bytes(b"\xff\xfe\xff")
    (root / "c.txt").write_bytes(b"")
    source = options(root, caption={})
    items = listed(tmp_path, source)
    (root / "b.txt").unlink()
    (root / "d.txt").unlink()
    (root / "d.txt").symlink_to("/etc/hostname")
    outcomes = read(tmp_path, source, items)
    notes = {
        uri: outcome.meta.get("sidecar", {}).get("reason")
        for uri, outcome in outcomes.items()
        if isinstance(outcome, Payload)
    }
    assert notes == {"a.png": "bad_sidecar", "b.png": "bad_sidecar", "c.png": None, "d.png": "bad_sidecar"}


def test_stamps(tmp_path: Path, material: Callable[[str], Path]) -> None:
    stamps = material("stamps")
    source = options(
        stamps,
        category="illustrations/{dir}",
        caption={"sidecar": ".txt", "format": "stamps", "languages": ["tr", "en"]},
    )
    items = listed(tmp_path, source)
    assert len(items) == 796
    outcomes = read(tmp_path, source, items)
    turkish = 0
    for item in items:
        path = stamps / item.uri
        outcome = outcomes[item.uri]
        assert isinstance(outcome, Payload)
        assert outcome.data == path.read_bytes()
        assert item.category == f"illustrations/{path.parent.relative_to(stamps)}"
        if outcome.updates.get("language") == "tr":
            turkish += 1
            lines = path.with_suffix(".txt").read_text("utf-8").split("\n")
            assert f"tr.utf8={outcome.updates['caption']}" in lines
    assert turkish == 767


def test_locator_state_survives_json(tmp_path: Path, root: Path) -> None:
    grow(root, os.fsdecode(b"\xff.png"), os.fsdecode(b"\xff.txt"))
    source = options(root, caption={})
    (item,) = listed(tmp_path, source)
    item.locator_state = json.loads(json.dumps(item.locator_state))
    (outcome,) = read(tmp_path, source, [item]).values()
    assert isinstance(outcome, Payload)
    assert "sidecar" in outcome.meta  # its text is its name, which is not UTF-8


def test_a_large_folder_is_listed_in_batches(tmp_path: Path, root: Path) -> None:
    for number in range(4_500):
        (root / f"{number:05}.png").touch()
    sizes = [len(batch) for batch in adapter(tmp_path).discover(options(root))]
    assert sizes == [2_000, 2_000, 500]


def test_other_workspaces_in_a_source_hold_no_items(tmp_path: Path) -> None:
    source = tmp_path / "images"
    for folder in ("", "work-test/corpora", "mine"):
        (source / folder).mkdir(parents=True, exist_ok=True)
        (source / folder / "a.png").write_bytes(b"x")
    (source / "work-test" / "catalog.duckdb").write_bytes(b"")
    tree = Tree(str(source), without=source / "work")
    assert [folder.join(name) for folder in tree.folders() for name in folder.files] == [
        "a.png",
        "mine/a.png",
    ]
