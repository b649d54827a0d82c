"""Configuration: merging, interpolation, and errors that name file, line, key and the nearest valid key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from derlem.core.errors import ConfigError
from derlem.settings.load import load

GOOD = """\
workspace: out
sources:
  - name: photos
    adapter: files
    path: images
    license: CC-BY-4.0
sample:
  name: first
  target: 100
  quotas:
    photos: {share: 0.5, children: {birds: {max: 20%}}}
"""


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(text: str, name: str = "derlem.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return path

    return write_file


def test_paths_resolve_against_their_own_file(tmp_path: Path, write: Write) -> None:
    (tmp_path / "cloud").mkdir()
    overlay = tmp_path / "cloud" / "cloud.yaml"
    overlay.write_text("workspace: elsewhere\n")
    config = load([write(GOOD), overlay]).config
    assert config.workspace == str(tmp_path / "cloud" / "elsewhere")
    assert config.sources[0].path == str(tmp_path / "images")  # type: ignore[attr-defined]


def test_workspace_is_beside_the_first_file_unless_said(tmp_path: Path, write: Write) -> None:
    assert load([write(GOOD.replace("workspace: out\n", ""))]).config.workspace == str(tmp_path / "work")


def test_overlays_merge_sources_by_name(write: Write) -> None:
    overlay = write(
        "sources:\n  - {name: photos, license: CC0-1.0}\n"
        "  - {name: more, adapter: files, path: m, license: MIT}\nsample: {target: 7}\n",
        "overlay.yaml",
    )
    config = load([write(GOOD), overlay]).config
    assert [(s.name, s.license) for s in config.sources] == [("photos", "CC0-1.0"), ("more", "MIT")]
    assert config.sample is not None and (config.sample.name, config.sample.target) == ("first", 7)


def test_environment_is_interpolated(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGES", "/data/p")
    text = GOOD.replace("path: images", "path: ${IMAGES}/x").replace("target: 100", "target: ${N:-12}")
    config = load([write(text)]).config
    assert config.sources[0].path == "/data/p/x"  # type: ignore[attr-defined]
    assert config.sample is not None and config.sample.target == 12


def test_set_overrides_any_key(write: Write) -> None:
    config = load([write(GOOD)], ["sample.seed=9", "sources.photos.license=MIT", "image.format=png"]).config
    assert config.sample is not None and config.sample.seed == 9
    assert (config.sources[0].license, config.image.format) == ("MIT", "png")


@pytest.mark.parametrize(
    ("change", "line", "key", "message"),
    [
        (
            ("license: CC-BY-4.0", "licence: CC-BY-4.0"),
            6,
            "sources.photos.licence",
            "did you mean 'license'?",
        ),
        (("sample:", "smaple:"), 7, "smaple", "did you mean 'sample'?"),
        (("target: 100", "taget: 100"), 9, "sample.taget", "did you mean 'target'?"),
        (("max: 20%", "mx: 20%"), 11, "sample.quotas.photos.children.birds.mx", "did you mean 'max'?"),
        (
            ("path: images", "folder: images"),
            5,
            "sources.photos.folder",
            "unknown key; 'path' is missing (valid: adapter, ",
        ),
        (("adapter: files", "adapter: fils"), 4, "sources.photos.adapter", "did you mean 'files'?"),
        (("    license: CC-BY-4.0\n", ""), 3, "sources.photos.license", "required"),
        (("name: photos", "name: Photos"), 3, "sources.Photos.name", "lower-case letters, digits"),
        (("CC-BY-4.0", "MIT OR"), 6, "sources.photos.license", "not an SPDX expression"),
        (("workspace: out", "log: {levels: {fech: DEBUG}}"), 1, "log.levels", "did you mean 'fetch'?"),
        (("share: 0.5", "share: 1.5"), 11, "sample.quotas.photos.share", "1.5"),
        (("workspace: out", "workspace: ${NOWHERE_SET}"), 1, "workspace", "no variable 'NOWHERE_SET'"),
        (("path: images", "path: s3://bucket/x"), 5, "sources.photos.path", "copy or mount it first"),
        (("workspace: out", "workspace: 'out?'"), 1, "workspace", "question mark"),
        (("workspace: out", "workspace: out\nworkspace: twice"), 2, "workspace", "stands twice"),
        (("  name: first", "  name: [first"), 9, "", "not valid YAML"),
    ],
)
def test_errors_name_file_line_key_and_remedy(
    write: Write, change: tuple[str, str], line: int, key: str, message: str
) -> None:
    assert change[0] in GOOD
    path = write(GOOD.replace(*change))
    with pytest.raises(ConfigError) as caught:
        load([path])
    assert (caught.value.file, caught.value.line, caught.value.key) == (path, line, key)
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


def test_two_sources_of_one_name(write: Write) -> None:
    twice = GOOD.replace("sample:", "  - {name: photos, adapter: files, path: q, license: MIT}\nsample:")
    with pytest.raises(ConfigError, match=r"two sources are named 'photos' \(the other: line 3\)"):
        load([write(twice)])


def test_a_value_is_named_once(write: Write) -> None:
    with pytest.raises(ConfigError) as caught:
        load([write(GOOD.replace("share: 0.5", "share: much"))])
    assert str(caught.value).count("much") == 1


def test_a_folder_and_a_file_of_another_encoding(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="this is a folder; name the file in it"):
        load([tmp_path])
    (tmp_path / "old.yaml").write_bytes("# bir\n# ği\n".encode("iso8859-9"))
    with pytest.raises(ConfigError, match=r"old.yaml:2: not UTF-8 text"):
        load([tmp_path / "old.yaml"])


def test_missing_file_names_init(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="derlem init"):
        load([tmp_path / "nothing.yaml"])
