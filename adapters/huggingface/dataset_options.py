"""What a hosted dataset declares in the configuration."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from ...core.config_values import ConfigStr
from ...core.options import StrictModel
from ..base import SourceOptions

_HUB = "hf://datasets/"
_REPOSITORY = re.compile(r"(?:[\w.-]{1,96}/)?[\w.-]{1,96}", re.ASCII)


def _dataset(value: object) -> object:
    """A hub id as it is, or the absolute path of what lies on disk."""
    if not isinstance(value, str) or not value:
        return value
    if value.startswith(_HUB):
        if not _REPOSITORY.fullmatch(value.removeprefix(_HUB)):
            raise ValueError(f"{value!r} does not end in the id of a dataset, such as {_HUB}org/name")
        return str(value)
    path = (value.folder if isinstance(value, ConfigStr) else Path.cwd()) / Path(value).expanduser()
    if value.startswith((".", "/", "~")) or path.exists():
        return str(path)
    if not _REPOSITORY.fullmatch(value):
        raise ValueError(f"{value!r} is neither a path that exists nor the id of a dataset on the hub")
    return str(value)


Dataset = Annotated[str, BeforeValidator(_dataset)]
"""A hub id (`org/name`), or a local path, absolute after validation.

It is a path if it starts with `.`, `/` or `~`, or if it exists relative to its configuration file;
`hf://datasets/org/name` is the hub's whatever lies on disk.
"""


class ColumnOptions(StrictModel):
    """Which columns hold what. A dotted name goes into nested columns: `json.caption`."""

    image: str | list[str] | None = Field(
        default=None,
        description="columns with images, lists of them included; default: all that the data declare",
    )
    key: str | None = Field(
        default=None,
        description="names each row, so that an edited row is still the same item; default: its content",
    )
    caption: str | None = Field(default=None, description="text, or a list of texts whose first counts")
    conversations: str | None = Field(
        default=None,
        description="messages (role, content), ShareGPT turns (from, value) or pairs (user, assistant)",
    )
    category: str | None = Field(
        default=None,
        description="a class label (its name counts), a text, or a list of them from the top down",
    )
    language: str | None = Field(default=None, description="BCP 47 tag of the caption")
    license: str | None = Field(
        default=None, description="SPDX expression of the row, in place of the source's"
    )


class HuggingfaceOptions(SourceOptions):
    """A dataset on the Hugging Face hub, or the same on disk.

    Parquet, Arrow (`save_to_disk` included), imagefolder, webdataset, and JSON or CSV with the paths of
    images. Columns that are not named go to the item's `meta`, as far as they are small.

    Category fields: every column by its name, and {split}, {dataset}, {config}, {category} (the value of
    `columns.category`), {file}, {stem} and {dir} of the data file (imagefolder: of the image).
    A token for private datasets is taken from HF_TOKEN in the environment.
    """

    dataset: Dataset = Field(min_length=1, description="hub id (org/name) or a local folder or file")
    config: str | None = Field(
        default=None, description="the dataset's configuration (subset), if it has several"
    )
    split: str | list[str] | None = Field(default=None, description="splits to take; default: all")
    revision: str | None = Field(
        default=None,
        description="branch, tag or commit; resolved to a commit, which is recorded with each item",
    )
    data_files: str | list[str] | dict[str, str | list[str]] | None = Field(
        default=None, description="patterns of data files in the dataset, or such patterns by split"
    )
    delimiter: str | None = Field(
        default=None,
        min_length=1,
        max_length=1,
        description="of csv; default: the one of , ; tab | that parts the header into the names of columns",
    )
    columns: ColumnOptions = Field(default_factory=ColumnOptions)
    streaming: bool = Field(
        default=False,
        description="read ranges from the hub and keep nothing, not whole files through its cache",
    )

    @property
    def hub_id(self) -> str | None:
        """The id on the hub; None for a local dataset."""
        if self.dataset.startswith(_HUB):
            return self.dataset.removeprefix(_HUB)
        return None if Path(self.dataset).is_absolute() else self.dataset

    @property
    def splits(self) -> list[str] | None:
        """The wanted splits; None for all."""
        return [self.split] if isinstance(self.split, str) else self.split
