"""Publishes a corpus on the Hugging Face hub: shards one by one, then one commit that names all files.

The hub keeps an uploaded shard by its hash, so a repeated upload sends only the shards that the hub lacks.
The commit is the last step: readers see the earlier state of the corpus or the new one, never a part.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .. import __version__
from ..catalog.connection import read_catalog
from ..catalog.queries import query
from ..core.errors import ConfigError, MissingExtra
from ..core.workspace import Workspace
from .errors import NotPublishable, PublishFailed
from .files import hash_file
from .layout import shard_corpus
from .release import why_incomplete

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi

Progress = Callable[[int], None]
"""Called with the bytes of each file as the hub has it."""

_TARGET = re.compile(r"hf://(?:datasets/)?([\w.-]+/[\w.-]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """A file of a finished corpus; `sha256` in hex."""

    path: Path
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Published:
    """A published corpus: the commit with its files; `unchanged` were part of the repository before."""

    url: str
    commit: str
    private: bool
    unchanged: int


def repository_of(target: str) -> str:
    """The dataset repository of `hf://org/name` or `hf://datasets/org/name`; ConfigError."""
    found = _TARGET.fullmatch(target)
    if found is None:
        raise ConfigError(f"{target!r} is not the address of a dataset repository: hf://org/name")
    return found[1]


def files_to_publish(workspace: Workspace, name: str) -> list[CorpusFile]:
    """The shards of a corpus and the files that describe it, by name.

    Raises UnknownManifest and NotPublishable.
    """
    why = why_incomplete(workspace, name)
    if why is not None:
        raise NotPublishable(name, why)
    with read_catalog(workspace) as connection:
        rows = connection.execute(query("corpus/files"), {"corpus": name}).fetchall()
    return [CorpusFile(workspace.root / path, size, sha256) for path, size, sha256 in rows]


def publish_corpus(
    name: str, files: Sequence[CorpusFile], repository: str, *, public: bool, progress: Progress
) -> Published:
    """Make the files of a corpus those of a dataset repository; without a difference, there is no commit.

    A new repository is private, unless `public`. A file is compared with its hash before it is sent, and
    shards of the corpus that it has no more are deleted. Raises NotPublishable, PublishFailed (also for a
    public repository without `public`, or one that changes meanwhile) and MissingExtra.
    """
    try:
        from huggingface_hub import CommitOperationDelete, HfApi
    except ModuleNotFoundError as error:
        raise MissingExtra("derlem publish", "huggingface") from error
    api = HfApi(library_name="derlem", library_version=__version__)
    with _converting_errors(repository):
        api.create_repo(repository, repo_type="dataset", private=not public, exist_ok=True)
        info = api.repo_info(repository, repo_type="dataset")
    if not info.private and not public:
        raise PublishFailed(repository, "the repository is public: --public publishes to it")
    with _converting_errors(repository):
        before = _content(api, repository, info.sha)
    additions = []
    for file in files:
        if not _same(file, before):
            _check(name, file)
            with _converting_errors(repository):
                additions.append(_send(api, repository, file))
        progress(file.bytes)
    names = {file.path.name for file in files}
    gone = [there for there in before if shard_corpus(there) == name and there not in names]
    url = f"{api.endpoint}/datasets/{repository}"
    unchanged = len(files) - len(additions)
    if not additions and not gone:
        return Published(url, str(info.sha), bool(info.private), unchanged)
    with _converting_errors(repository):
        commit = api.create_commit(
            repository,
            [*additions, *(CommitOperationDelete(there) for there in gone)],
            commit_message=f"Publish {name}",
            repo_type="dataset",
            parent_commit=info.sha,  # a commit of others, made meanwhile, is not overwritten
        )
        after = _content(api, repository, commit.oid)
    missing = [file.path.name for file in files if not _same(file, after)]
    if missing:
        raise PublishFailed(
            repository, f"the hub left out {', '.join(missing[:3])}: is there a .gitignore that names it?"
        )
    return Published(url, commit.oid, bool(info.private), unchanged)


def _content(api: HfApi, repository: str, revision: str | None) -> dict[str, tuple[int, str]]:
    """The files at the top of a repository: size, and sha256 or, for a file that git holds, git's id."""
    from huggingface_hub import RepoFile

    tree = api.list_repo_tree(repository, repo_type="dataset", revision=revision)
    return {
        entry.path: (entry.size, entry.lfs.sha256 if entry.lfs else entry.blob_id)
        for entry in tree
        if isinstance(entry, RepoFile)
    }


def _same(file: CorpusFile, content: Mapping[str, tuple[int, str]]) -> bool:
    """Whether a repository has a file with these bytes."""
    size, found = content.get(file.path.name, (-1, ""))
    return size == file.bytes and found in (file.sha256, _git_id(file.path) if len(found) == 40 else "")


def _git_id(path: Path) -> str:
    """Git's id (sha1, hex) of a file; the hub holds only small files in git."""
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _check(name: str, file: CorpusFile) -> None:
    """Raise NotPublishable if a file is not the one that was built."""
    if not file.path.is_file() or hash_file(file.path) != file.sha256:
        raise NotPublishable(name, f"{file.path.name} is not the file that was built: `derlem build {name}`")


def _send(api: HfApi, repository: str, file: CorpusFile) -> CommitOperationAdd:
    """Upload a file from disk, unless the hub has its bytes; small files go with the commit."""
    from huggingface_hub import CommitOperationAdd

    addition = CommitOperationAdd(file.path.name, file.path)
    addition.upload_info.sha256 = bytes.fromhex(file.sha256)  # the library would read the file once more
    api.preupload_lfs_files(repository, [addition], repo_type="dataset", num_threads=1, free_memory=False)
    return addition


@contextmanager
def _converting_errors(repository: str) -> Iterator[None]:
    """Raise errors of the hub, the network and the library as PublishFailed; hide the library's bars."""
    from httpx2 import HTTPError
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    shown = not are_progress_bars_disabled()
    if shown:
        disable_progress_bars()
    try:
        yield
    # the library raises ValueError for refused objects and metadata, RuntimeError around a failed upload
    except (HTTPError, OSError, ValueError, RuntimeError) as error:
        cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
        message = " ".join(str(cause).split())
        if isinstance(cause, HfHubHTTPError) and cause.response.status_code in (401, 403):
            message = f"a token that may write is needed (`hf auth login`, or HF_TOKEN): {message}"
        raise PublishFailed(repository, message) from error
    finally:
        if shown:
            enable_progress_bars()
