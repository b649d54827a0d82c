"""The `sample:` section: what a sample should hold, as it is declared."""

from __future__ import annotations

import unicodedata
from fractions import Fraction
from math import ceil, floor
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from ..core.config_values import ResolvedPath
from ..core.options import StrictModel
from .numbers import Amount, AmountField, ShareField, rational

MAX_TARGET = 10**12
MAX_TEMPERATURE = 4


def _whole(value: object) -> object:
    """Whole numbers may be written 10_000_000, 1e7 or '10_000_000'."""
    if isinstance(value, bool):
        raise ValueError(f"a whole number, not {str(value).lower()}")
    if isinstance(value, (float, str)):
        exact = rational(value)
        if exact.denominator != 1:
            raise ValueError(f"a whole number, not {value}")
        return int(exact)
    return value


class Temperature(StrictModel):
    """Siblings weigh cap^a: `temperature: 1` is `natural`, `temperature: 0` is `equal`."""

    temperature: Fraction = Field(description="the exponent a, 0 to 4, at most three decimal places")

    @field_validator("temperature", mode="before")
    @classmethod
    def _exact(cls, value: object) -> Fraction:
        exact = rational(value)
        if not 0 <= exact <= MAX_TEMPERATURE:
            raise ValueError(f"a temperature lies between 0 and {MAX_TEMPERATURE}, this is {value}")
        if 1000 % exact.denominator:
            raise ValueError(f"a temperature has at most three decimal places, this is {value}")
        return exact


Balance = Literal["natural", "equal"] | Temperature
"""How siblings without a share divide what the shares leave."""


class SourceQuota(StrictModel):
    """What one source may take of one category."""

    share: ShareField | None = Field(default=None, description="of the category's seats: 0.3, '30%' or '1/3'")
    min: AmountField | None = Field(default=None, description="a count, or a percentage of the target")
    max: AmountField | None = Field(default=None, description="a count, or a percentage of the target")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.min, self.max
        if low and high and low.relative == high.relative and low.value > high.value:
            raise ValueError(f"min {low} is over max {high}")
        return self


class Quota(SourceQuota):
    """What one category may take of its parent, and how it is divided below."""

    balance: Balance | None = Field(default=None, description="of the children; default: the parent's")
    children: dict[str, Quota] = Field(default_factory=dict, description="sub-categories by name")
    sources: dict[str, SourceQuota] = Field(
        default_factory=dict, description="sources with items directly in this category, by name"
    )

    @field_validator("children", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        return category_names(value)


def category_names(value: object) -> object:
    """Keys of a quota tree as NFC names of one level each."""
    if not isinstance(value, dict):
        return value
    names: dict[str, Any] = {}
    for key, quota in value.items():
        name = unicodedata.normalize("NFC", str(key)).strip()
        if "/" in name:
            first, _, rest = name.strip("/").partition("/")
            raise ValueError(
                f"{name!r} is a path; a quota is declared level by level: "
                f"{{{first}: {{children: {{{rest}: ...}}}}}}"
            )
        if name in ("", ".", ".."):
            raise ValueError(f"{key!r} is not the name of a category")
        if name in names:
            raise ValueError(f"the category {name!r} is declared twice")
        names[name] = {} if quota is None else quota
    return names


class LicenseRules(StrictModel):
    """Licenses (SPDX identifiers) of candidates."""

    allow: list[str] | None = Field(default=None, description="only these; not given: all but the denied")
    deny: list[str] = Field(default_factory=list, description="none of these")


class Exclusion(StrictModel):
    """Images that must not be in the sample, such as an evaluation set: exactly one of three forms."""

    folder: ResolvedPath | None = Field(default=None, description="a folder of images")
    hashes: ResolvedPath | None = Field(
        default=None, description="a text file, one sha256 (64 hex digits) or dhash (16) per line"
    )
    dataset: str | None = Field(default=None, description="a Hugging Face dataset id or local path")
    split: str = Field(default="test", description="of the dataset")
    column: str = Field(default="image", description="of the dataset")
    revision: str | None = Field(default=None, description="of the dataset")
    distance: Annotated[int, Field(ge=0, le=16)] | None = Field(
        default=0, description="dhash bits that may differ; null: by sha256 only"
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        return {"folder": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(part is not None for part in (self.folder, self.hashes, self.dataset)) != 1:
            raise ValueError("name exactly one of folder, hashes and dataset")
        return self

    @property
    def label(self) -> str:
        """What it is, for messages."""
        return self.folder or self.hashes or f"{self.dataset}[{self.split}]"

    @property
    def declaration(self) -> dict[str, Any]:
        """The folder or dataset as the declaration of a source that lists its images."""
        if self.folder is not None:
            declared: dict[str, Any] = {"adapter": "files", "path": self.folder}
        else:
            columns = {"image": self.column}
            declared = {
                "adapter": "huggingface",
                "dataset": self.dataset,
                "split": self.split,
                "columns": columns,
            }
            if self.revision:
                declared["revision"] = self.revision
        return {**declared, "name": "excluded", "license": "LicenseRef-Excluded"}


class SampleOptions(StrictModel):
    """A sample: how many items, from where, in which proportions."""

    name: str = Field(pattern=r"^[a-z0-9_-]+$", description="lower-case name of the sample and its corpus")
    seed: Annotated[int, BeforeValidator(_whole), Field(ge=-(2**63), lt=2**63)] = Field(
        default=0, description="another seed, another draw"
    )
    target: Annotated[int, BeforeValidator(_whole), Field(ge=1, le=MAX_TARGET)] = Field(
        description="samples in the corpus"
    )
    balance: Balance = Field(default="natural", description="natural, equal or {temperature: a}")
    quotas: dict[str, Quota] = Field(default_factory=dict, description="top-level categories by name")
    sources: dict[str, SourceQuota] = Field(
        default_factory=dict, description="sources whose items have no category, by name"
    )
    extend: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9_-]+$",
        description="a stored manifest whose valid rows stay; its own name lets a sample grow in place",
    )
    min_per_source: Annotated[int, BeforeValidator(_whole), Field(ge=0)] = Field(
        default=1, description="floor of every source in every category where it has items"
    )
    allow_shortfall: bool = Field(default=False, description="take what there is when the target is over it")
    max_repeats: Annotated[int, BeforeValidator(_whole)] = Field(
        default=1, ge=1, le=1000, description="times that one item may be taken"
    )
    where: str | None = Field(default=None, description="SQL predicate over `items`")
    licenses: LicenseRules = Field(default_factory=LicenseRules)
    respect_opt_outs: bool = Field(default=True, description="leave out what its publisher reserved")
    duplicates: Literal["image", "image_and_text", "none"] = Field(
        default="image",
        description="items that are duplicates, of which one stays: those with the same images; those with "
        "the same images and texts; none",
    )
    prefer: Literal["captioned", "first", "largest"] = Field(
        default="captioned",
        description="which duplicate stays: one with a caption or conversation, that of the source declared "
        "first, or the one with the most pixels; in doubt that of the source declared first",
    )
    near_duplicates: Annotated[int, Field(ge=0, le=12)] | None = Field(
        default=None, description="dhash bits by which near duplicates may differ; not given: exact ones only"
    )
    exclude: list[Exclusion] = Field(default_factory=list, description="images that must not be in it")

    @field_validator("quotas", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        return category_names(value)

    @field_validator("where")
    @classmethod
    def _not_blank(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("an empty predicate")
        return value

    @property
    def root(self) -> Quota:
        """The quota tree with its root, whose seats are the target."""
        return Quota.model_construct(
            share=None, min=None, max=None, balance=self.balance, children=self.quotas, sources=self.sources
        )

    def canonical(self) -> str:
        """The options as JSON that is equal for equal samples, on any machine and with later versions.

        It contains no path, no name of another manifest, and no option with its default value.
        """
        return self.model_dump_json(exclude={"exclude", "extend"}, exclude_defaults=True)


def for_trial(options: SampleOptions, target: int) -> SampleOptions:
    """The options with another target, for a trial run on few items.

    Absolute floors are rounded down and absolute caps up, so that what was feasible stays so;
    percentages and shares stand as they are. A shortfall is allowed.
    """
    factor = Fraction(target, options.target)

    def scale(quota: SourceQuota) -> SourceQuota:
        changes: dict[str, Any] = {}
        if quota.min and not quota.min.relative:
            low = floor(quota.min.value * factor)
            changes["min"] = Amount(Fraction(low), False, str(low))
        if quota.max and not quota.max.relative:
            high = ceil(quota.max.value * factor)
            changes["max"] = Amount(Fraction(high), False, str(high))
        if isinstance(quota, Quota):
            changes["children"] = {name: scale(child) for name, child in quota.children.items()}
            changes["sources"] = {name: scale(child) for name, child in quota.sources.items()}
        return quota.model_copy(update=changes)

    return options.model_copy(
        update={
            "target": target,
            "allow_shortfall": True,
            "extend": None,  # the workspace of trial runs has no earlier manifest
            "min_per_source": min(options.min_per_source, 1),
            "quotas": {name: scale(quota) for name, quota in options.quotas.items()},
            "sources": {name: scale(quota) for name, quota in options.sources.items()},
        }
    )
