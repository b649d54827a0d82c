"""`publish` to a replica of the hub, whatever interrupts the upload, and `export`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from hub import Hub, serving

import derlem
from derlem.cli import main


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    from huggingface_hub import constants

    with serving() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        yield server


@pytest.fixture(scope="module")
def built(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of a project with the corpus `small` of several shards, to be copied."""
    folder = tmp_path_factory.mktemp("built")
    shutil.copytree(demo / "clipart" / "food", folder / "images" / "food")
    source = {"name": "clipart", "adapter": "files", "path": "images", "license": "CC-PDDC"}
    declared = {
        "workspace": "work",
        "sources": [source],
        "sample": {"name": "small", "seed": 5, "target": 9},
        "corpus": {"shard_size": "60KB"},
    }
    config = folder / "derlem.yaml"
    config.write_text(yaml.safe_dump(declared))
    assert derlem.open(config).run().ok
    return config


@pytest.fixture
def config(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built.parent, tmp_path / "project")) / built.name


def files(config: Path) -> dict[str, bytes]:
    folder = config.parent / "work" / "corpora" / "small"
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def published(hub: Hub, name: str = "org/small") -> dict[str, bytes]:
    repository = hub.repositories[name]
    found = dict(repository.commits[repository.branches["main"]])
    del found[".gitattributes"]
    return found


def test_a_killed_upload_is_continued(hub: Hub, config: Path) -> None:
    """The process dies when the hub has its second shard, before it knows; each shard arrives once."""
    local = files(config)
    shards = {name for name in local if name.endswith(".tar")}
    assert len(shards) > 2
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "derlem", "-c", str(config), "publish", "hf://org/small"],
        env=environment
        | {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(config.parent / "hf")},
        stderr=subprocess.DEVNULL,
    )
    hub.uploads.after_put = lambda done: process.send_signal(signal.SIGKILL) if done == 2 else None
    assert process.wait(60) == -signal.SIGKILL
    assert len(hub.uploads.transfers) == 2 and not published(hub)

    result = derlem.open(config).publish("hf://org/small")
    assert (result.unchanged, result.files, result.private) == (0, len(local), True)
    assert hub.repositories["org/small"].private
    assert published(hub) == local
    sent = [sha256 for sha256, _ in hub.uploads.transfers]
    assert len(sent) == len(set(sent)) == len(shards) + 1  # and the manifest
    assert result.commit == hub.repositories["org/small"].branches["main"]

    again = derlem.open(config).publish("hf://datasets/org/small", "small")
    assert (again.unchanged, again.commit) == (len(local), result.commit)
    assert hub.uploads.commits == ["Publish small"] and len(hub.uploads.transfers) == len(sent)


def test_a_takedown_replaces_its_shard_alone(hub: Hub, config: Path) -> None:
    project = derlem.open(config)
    project.publish("hf://org/small")
    before = files(config)
    hub.add_commit("org/small", {**published(hub), ".gitattributes": b"", "small-000099.tar": b"left",
                                 "other-000000.tar": b"mine"})  # fmt: skip
    [(item,)] = project.rows("SELECT item_id FROM manifest WHERE corpus = 'small' AND position = 3")[1]
    project.withdraw(key=item)
    sent = len(hub.uploads.transfers)
    result = project.publish("hf://org/small")
    after = files(config)
    changed = {name for name in after if after[name] != before.get(name)}
    assert len([name for name in changed if name.endswith(".tar")]) == 1
    assert result.unchanged == len(after) - len(changed)
    assert len(hub.uploads.transfers) == sent + 2  # the shard and the manifest
    assert published(hub) == {**after, "other-000000.tar": b"mine"}


def test_refusals(hub: Hub, config: Path) -> None:
    project = derlem.open(config)
    with pytest.raises(derlem.ConfigError, match="hf://org/name"):
        project.publish("s3://bucket/small")
    with pytest.raises(derlem.UnknownManifest):
        project.publish("hf://org/small", "unknown")
    assert project.publish("hf://org/small", dry_run=True).files == len(files(config))
    assert not hub.requests

    hub.add_commit("org/open", {"README.md": b"mine"})
    with pytest.raises(derlem.PublishFailed, match="--public"):
        project.publish("hf://org/open")
    assert published_names(hub, "org/open") == {"README.md"}
    hub.uploads.ignored = {"croissant.json"}
    with pytest.raises(derlem.PublishFailed, match=r"left out croissant\.json"):
        project.publish("hf://org/open", public=True)
    hub.add_commit("org/closed", {}, token="secret")
    with pytest.raises(derlem.PublishFailed, match="HF_TOKEN"):
        project.publish("hf://org/closed")

    shard = project.workspace.corpora / "small" / "small-000001.tar"
    data = bytearray(shard.read_bytes())
    data[600] ^= 1
    shard.write_bytes(data)
    with pytest.raises(derlem.NotPublishable, match="derlem build small"):
        project.publish("hf://org/small")
    assert published(hub) == {}


def published_names(hub: Hub, name: str) -> set[str]:
    repository = hub.repositories[name]
    return set(repository.commits[repository.branches["main"]])


def test_the_command(hub: Hub, config: Path) -> None:
    def call(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(main, ["-c", str(config), *arguments])
        assert result.exit_code == code, result.output
        return result.output

    assert "would be published to hf://org/small" in call("--dry-run", "publish", "hf://org/small")
    output = call("publish", "hf://org/small", "small", "--public")
    assert "(public), commit" in output and f"{hub.url}/datasets/org/small" in output
    assert "is not the address" in call("publish", "org/small", code=2)
    module = str(config.parent / "load.py")
    assert module in call("--dry-run", "export", "datasets", "--output", module)
    assert not (config.parent / "load.py").exists()
    corpus = config.parent / "work" / "corpora" / "small"
    assert call("export", "energon", "small").splitlines()[-1] == str(corpus)
    assert (corpus / ".nv-meta" / "dataset.yaml").exists()
    call("audit")
    assert "no other output" in call("export", "energon", "--output", module, code=2)
