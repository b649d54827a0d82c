"""Projects of one configuration in different folders, as on different machines that share a copy."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import derlem
from derlem.catalog.connection import read_catalog
from derlem.core.workspace import Workspace


@dataclass
class Machines:
    """`config` without a workspace; each machine is a folder below `folder`."""

    folder: Path
    config: dict[str, Any]

    def values(self, name: str, **sync: Any) -> dict[str, Any]:
        """The configuration on the machine `name`; `sync` are further keys of the section."""
        section = {"sync": {**self.config["sync"], **sync}}
        return {**self.config, **section, "workspace": str(self.folder / name)}

    def project(self, name: str, **sync: Any) -> derlem.Project:
        """The project on the machine `name`."""
        return derlem.Project(self.values(name, **sync))

    def detached(self, name: str) -> derlem.Project:
        """The project on the machine `name`, without a copy."""
        config = {key: value for key, value in self.config.items() if key != "sync"}
        return derlem.Project({**config, "workspace": str(self.folder / name)})


def shard_hashes(workspace: Workspace) -> list[tuple[int, str]]:
    """Number and sha256 of every shard, from the catalog."""
    with read_catalog(workspace) as connection:
        return connection.execute("SELECT shard, sha256 FROM shards ORDER BY shard").fetchall()


def item_rows(workspace: Workspace) -> list[tuple[Any, ...]]:
    """The items of the catalog, without times and runs."""
    with read_catalog(workspace) as connection:
        return connection.execute(
            "SELECT item_id, status, reason, sha256, caption, segment FROM items ORDER BY item_id"
        ).fetchall()


def store_hashes(workspace: Workspace) -> dict[str, str]:
    """sha256 of every segment file."""
    return {
        path.relative_to(workspace.root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(workspace.store.glob("*/[0-9]*"))
    }
