"""Resolves the layout of a dataset: its format, the data files of each split, and the features of columns.

The library `datasets` resolves all of these (from file names, the dataset card, types stored in files), so
that the result is the same as for other users of the library.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from ...catalog.status import Reason
from ...core.errors import ConfigError, DerlemError
from ..fields import Feature
from ..urls.delimited import guess_delimiter
from .dataset_files import Files, LocalFiles
from .dataset_options import HuggingfaceOptions
from .hub import HubFiles, token, without_token
from .image_columns import USUAL_NAMES

HEADER = 2**16
"""Maximum bytes read of a header."""

FORMATS = frozenset({"parquet", "arrow", "webdataset", "imagefolder", "json", "csv"})


@dataclass(frozen=True, slots=True)
class Layout:
    """A resolved dataset. `splits` are the selected splits with their data files, relative to the root.

    `features` are empty if only the files contain them. `builder` is the builder of `datasets`, for formats
    whose rows `datasets` lists.
    """

    format: str
    splits: dict[str, list[str]]
    features: dict[str, Feature]
    builder: Any = None


def open_files(source: HuggingfaceOptions) -> Files:
    """Return the files of a source, with a resolved revision on the hub. ConfigError if missing."""
    if source.hub_id is not None:
        return HubFiles.at(source.hub_id, source.revision, streaming=source.streaming)
    path = Path(source.dataset)
    if not path.exists():
        raise ConfigError(f"there is no {path}", key="dataset")
    if source.revision is not None:
        raise ConfigError("a local dataset has no revisions", key="revision")
    return LocalFiles(path if path.is_dir() else path.parent)


def resolve(source: HuggingfaceOptions, files: Files) -> Layout:
    """Return the layout of a source; ConfigError for an unsupported layout."""
    if isinstance(files, LocalFiles) and (saved := _saved_to_disk(files.root)):
        return Layout("arrow", _wanted(saved, source), {})
    builder = _builder(source, files)
    data_files = builder.config.data_files or {}
    form = type(builder).__module__.rpartition(".")[2]
    if form not in FORMATS:
        raise ConfigError(
            f"the dataset's format is {form}; what can be read: {', '.join(sorted(FORMATS))}",
            key="dataset",
        )
    if form == "csv" and builder.config.sep == ",":
        delimiter = source.delimiter or _guessed_delimiter(source, files, data_files)
        if delimiter != ",":
            builder = _builder(source, files, sep=delimiter)
            data_files = builder.config.data_files or {}
    splits = {
        str(split): [relative(str(path), files) for path in paths] for split, paths in data_files.items()
    }
    features = builder.info.features.to_dict() if builder.info.features else {}
    return Layout(form, _wanted(splits, source), features, builder)


def features_of(schema: Any) -> dict[str, Feature]:
    """Return the features in the schema of a Parquet or Arrow file, as plain dicts.

    Columns of types that `datasets` does not support, such as maps, have none. ConfigError for a schema
    with unreadable features: without features, labels would be numbers.
    """
    from datasets import Features

    try:
        Features.from_arrow_schema(pa.schema([], schema.metadata))
    except Exception as error:  # `datasets` raises any type
        text = f"the features in a data file cannot be read: {type(error).__name__}: {error}"
        raise ConfigError(text.splitlines()[0], key="dataset") from error
    features: dict[str, Feature] = {}
    for field in schema:
        with suppress(ValueError):
            features |= Features.from_arrow_schema(pa.schema([field], schema.metadata)).to_dict()
    return features


def image_extensions() -> frozenset[str]:
    """Return the extensions of WebDataset members that `datasets` decodes as images."""
    from datasets.packaged_modules.webdataset.webdataset import WebDataset

    return frozenset(WebDataset.IMAGE_EXTENSIONS)


class Listed:
    """Rows of a split in formats that name images by path; image files are not opened.

    Raises ConfigError for data that `datasets` cannot parse, and FileTrouble for unreadable files.
    """

    def __init__(self, layout: Layout, split: str, files: Files) -> None:
        self._files = layout.splits[split] if layout.format != "imagefolder" else None
        self._judging = partial(_judging, split, files)
        with self._judging():
            rows = layout.builder.as_streaming_dataset(split=split)
            if rows.features is None:  # for JSON and CSV, before the first rows are read
                rows = rows._resolve_features()
            if rows.features is None:
                raise ConfigError(
                    f"`datasets` cannot read the columns of the split {split!r}: are its files sound?",
                    key="dataset",
                )
            if (
                layout.format == "csv" and "__index_level_0__" in rows.features
            ):  # pandas reads additional fields as an index
                raise ConfigError(f"rows of {split!r} have more fields than the header", key="dataset")
            self._rows = rows.decode(False)
        self.schema = self._rows.features.arrow_schema
        self.features: dict[str, Feature] = self._rows.features.to_dict()

    def rows(self) -> Iterator[tuple[str, int, dict[str, Any]]]:
        """Yield (data file, number in it, row); for an imagefolder no file, and the number in the split."""
        with self._judging():
            yield from self._read()

    def _read(self) -> Iterator[tuple[str, int, dict[str, Any]]]:
        if self._files is None:
            for number, row in enumerate(self._rows):
                yield "", number, row
            return
        for place, file in enumerate(self._files):
            shard = self._rows.shard(num_shards=len(self._files), index=place)
            for number, row in enumerate(shard):
                yield file, number, row


@contextmanager
def _judging(split: str, files: Files) -> Iterator[None]:
    """Convert exceptions of `datasets`, which raises any type for malformed files; use for its calls only."""
    try:
        yield
    except (DerlemError, MemoryError):
        raise
    except Exception as error:
        trouble = files.trouble(split, error)
        if trouble is not None and trouble.reason is not Reason.BAD_ARCHIVE:
            raise trouble from error
        text = f"{type(error).__name__}: {without_token(str(error))}".splitlines()[0]
        raise ConfigError(f"`datasets` cannot read the split {split!r}: {text}", key="dataset") from error


def _guessed_delimiter(source: HuggingfaceOptions, files: Files, data_files: Mapping[Any, Any]) -> str:
    """Return the delimiter that splits the first header into the source's mapped columns."""
    columns = source.columns.model_dump(exclude_none=True)
    image = columns.pop("image", None)
    wanted = [*columns.values(), *([image] if isinstance(image, str) else image or [])]
    for paths in data_files.values():
        for path in paths:
            name = relative(str(path), files)
            if not name.endswith(".csv"):
                return ","  # compressed: `datasets` unpacks it
            with files.guarded(name), files.fetch(name).open("rb") as file:
                header = file.readline(HEADER).decode("utf-8-sig", "replace")
            if wanted:
                return guess_delimiter(header, wanted)
            parted = (guess_delimiter(header, [usual]) for usual in USUAL_NAMES)
            return next((found for found in parted if found != ","), ",")
    return ","


def _builder(source: HuggingfaceOptions, files: Files, **more: Any) -> Any:
    from datasets import disable_progress_bars, load_dataset_builder
    from datasets.exceptions import DatasetsError

    disable_progress_bars()
    data_files: Any = source.data_files
    if isinstance(files, LocalFiles):
        name, path = str(files.root), Path(source.dataset)
        if path.is_file():
            data_files = path.name
        options = dict(more)
    elif isinstance(files, HubFiles):
        name = f"hf://datasets/{files.repository}"
        options = {"revision": files.commit, "token": token(), **more}
    with files.guarded(source.dataset):
        try:
            return load_dataset_builder(name, name=source.config, data_files=data_files, **options)
        except (DatasetsError, FileNotFoundError, ValueError) as error:
            if (trouble := files.trouble(source.dataset, error)) and not isinstance(error, FileNotFoundError):
                raise trouble from error
            text = without_token(str(error)).strip().splitlines()[0]
            key = "config" if "BuilderConfig" in text or "Config name" in text else "dataset"
            raise ConfigError(text, key=key) from error


def _wanted(splits: dict[str, list[str]], source: HuggingfaceOptions) -> dict[str, list[str]]:
    if source.splits is None:
        return splits
    for split in source.splits:
        if split not in splits:
            raise ConfigError(f"there is no split {split!r} (splits: {', '.join(splits)})", key="split")
    return {split: splits[split] for split in source.splits}


def relative(path: str, files: Files) -> str:
    """Return the path below the dataset's root of a data file named by `datasets`."""
    if isinstance(files, HubFiles):
        roots = [f"hf://datasets/{files.repository}@{files.commit}"]
    elif isinstance(files, LocalFiles):
        roots = [str(files.root), files.real_root]
    for root in roots:
        if path.startswith(f"{root}/"):
            return path[len(root) + 1 :]
    raise ConfigError(f"the data file {path} is outside the dataset", key="data_files")


def _saved_to_disk(root: Path) -> dict[str, list[str]] | None:
    """Return the splits of a `save_to_disk` dataset (which `load_dataset` rejects); None for others."""
    try:
        if (index := root / "dataset_dict.json").is_file():
            names = json.loads(index.read_text("utf-8"))["splits"]
            return {name: _saved_files(root, name) for name in names}
        if (root / "state.json").is_file():
            state = json.loads((root / "state.json").read_text("utf-8"))
            return {state.get("_split") or "train": _saved_files(root, "")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{root} is a damaged `save_to_disk` dataset: {error}", key="dataset") from error
    return None


def _saved_files(root: Path, folder: str) -> list[str]:
    state = json.loads((root / folder / "state.json").read_text("utf-8"))
    return [posixpath.join(folder, entry["filename"]) for entry in state["_data_files"]]
