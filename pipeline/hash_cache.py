"""Caches the hashes of images outside the catalog, so that repeated draws decode an evaluation set once."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import PIL
import pyarrow as pa
import pyarrow.parquet as pq

from ..adapters.base import Context, SourceOptions
from ..adapters.files.adapter import FilesOptions
from ..adapters.huggingface.dataset_options import HuggingfaceOptions
from ..adapters.huggingface.hub import HubFiles
from ..adapters.tree import Tree
from ..core.durable import replacing
from ..media.image_options import ImageOptions
from .evaluation_hashes import ImageHashes, hashed_form, image_hashes

log = logging.getLogger("derlem.adapters")

_VERSION = 1
"""Increase this number when a change of the code changes the hashes of the same bytes."""

_TICK = 2 * 10**9
"""Resolution of the coarsest file systems' time stamps, in nanoseconds."""

_COLUMNS = ("original_sha256", "sha256", "dhash")

Stamps = list[tuple[str, int, int]]
"""Name, size in bytes and modification time in nanoseconds of every file."""


def cached_hashes(
    source: SourceOptions, context: Context, image: ImageOptions, *, keep: bool
) -> Iterator[ImageHashes]:
    """The result of `image_hashes`, from the cache if the source has not changed.

    A folder is identified by the names, sizes and times of its files, a dataset on the hub by its current
    commit. With `keep`, computed hashes are cached. Raises the exceptions of `image_hashes`.
    """
    files: Stamps | None = None
    if isinstance(source, HuggingfaceOptions) and source.hub_id is not None:
        source = source.model_copy(update={"revision": HubFiles.at(source.hub_id, source.revision).commit})
        files = []  # a commit never changes
    elif isinstance(source, HuggingfaceOptions) and Path(source.dataset).is_dir():  # a file may name others
        files = _files(Tree(source.dataset, hidden=True))
    elif isinstance(source, FilesOptions):
        files = _files(Tree(source.path, without=context.workspace.root))
    if files is None:
        yield from image_hashes(source, context, image)
        return
    path = _place(source, files, context, image)
    if (found := _read(path)) is not None:
        log.info("%s: the hashes of %d images are cached", source.name, len(found))
        yield from found
        return
    read = []
    for hashes in image_hashes(source, context, image):
        read.append(hashes)
        yield hashes
    if keep:
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pa.table({name: [getattr(each, name) for each in read] for name in _COLUMNS})
        with replacing(path) as file:
            pq.write_table(table, file, compression="none", write_page_checksum=True)


def _files(tree: Tree) -> Stamps | None:
    """The files of a tree; None if one changed so recently that a coarse clock would hide another change.

    Entries that no adapter reads (a link to a target outside the tree) are omitted.
    """
    found = []
    for folder in tree.folders():
        for name in (*folder.files, *folder.others):
            with suppress(FileNotFoundError):  # the file was removed after the listing
                status = Path(tree.root, folder.path, name).stat()
                found.append((folder.join(name), status.st_size, status.st_mtime_ns))
    recent = time.time_ns() - _TICK
    return None if any(changed > recent for _, _, changed in found) else found


def _place(source: SourceOptions, files: Stamps, context: Context, image: ImageOptions) -> Path:
    """The cache file for a source with these files."""
    form = hashed_form(image).model_dump()
    whole = [_VERSION, PIL.__version__, form, source.model_dump(mode="json"), files]
    digest = hashlib.sha256(json.dumps(whole).encode()).hexdigest()
    return context.workspace.hashes / f"{digest}.parquet"


def _read(path: Path) -> list[ImageHashes] | None:
    """Cached hashes; None if the file is missing or damaged."""
    try:
        table = pq.read_table(path, columns=list(_COLUMNS), page_checksum_verification=True)
    except FileNotFoundError:
        return None
    except (OSError, pa.ArrowException) as error:
        log.warning("%s is damaged and is computed again: %s", path, error)
        return None
    return [ImageHashes(**row) for row in table.to_pylist()]
