"""Captions from sidecars: small text or JSON files beside images."""

from __future__ import annotations

import codecs
import json
import logging
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from pydantic import Field, field_validator, model_validator

from ..catalog.models import Item
from ..catalog.status import Reason
from ..core.options import StrictModel
from .conversations import conversation

MAX_SIDECAR = 4 * 2**20
"""Maximum size in bytes; a larger file describes more than one image."""

_CODE = re.compile(r"[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,8})*(?:@[A-Za-z0-9]{1,8})?")
_STAMP_LINE = re.compile(rf"({_CODE.pattern})\.utf8=(.*)")


class CaptionOptions(StrictModel):
    """Location and format of an image's caption.

    The sidecar of `a/b.png` is `a/b` + suffix, else `a/b.png` + suffix; the case of the suffix does not
    matter. A sidecar of an image is not an item; a sidecar without an image is an item and is rejected
    like every file that is not an image. An image with an invalid sidecar is stored without a caption,
    with the reason bad_sidecar under `sidecar` in its `meta`.
    """

    sidecar: str = Field(
        default=".txt", pattern=r"^\.[^/\s]+$", description="suffix of the sidecars: .txt, .json, .caption"
    )
    format: Literal["plain", "stamps", "json"] | None = Field(
        default=None,
        description="plain: all of it is the caption. stamps (Tux Paint): the first line is the caption in "
        "`language`, further lines are `code.utf8=caption`. json: an object. Default: json for a sidecar "
        "that ends in .json, else plain",
    )
    encoding: str | None = Field(
        default=None,
        description="of sidecars that are neither UTF-8 nor UTF-16 with a BOM, such as cp1254",
    )
    key: str = Field(
        default="caption",
        description="json: the field with the caption, as a dotted path; a text, a list of texts (the first "
        "counts) or an object of texts by language",
    )
    conversations: str = Field(
        default="conversations",
        description="json: the field with the conversation, as messages (role, content) or ShareGPT turns "
        "(from, value)",
    )
    language: str | None = Field(
        default=None,
        description="language of captions whose sidecar names none (BCP 47); default for stamps: en",
    )
    languages: list[str] = Field(
        default=[],
        description="preferred languages, best first; a sidecar without any of them gives no caption. "
        "Default: the caption in `language`, else the first",
    )

    @property
    def form(self) -> str:
        """The format, declared or derived from the suffix."""
        return self.format or ("json" if self.sidecar.lower().endswith(".json") else "plain")

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str | None) -> str | None:
        return known_encoding(value)

    @field_validator("language", "languages")
    @classmethod
    def _tags(cls, value: str | list[str] | None) -> str | list[str] | None:
        if isinstance(value, list):
            return [language_tag(code) for code in value]
        return None if value is None else language_tag(value)

    @model_validator(mode="after")
    def _languages_need_a_choice(self) -> CaptionOptions:
        if self.languages and self.form == "plain":
            raise ValueError("a plain sidecar has one caption; use languages with stamps or json")
        return self


class Sidecar(NamedTuple):
    """Content of a sidecar: columns to set, and fields for the item's `meta`."""

    updates: dict[str, Any]
    meta: dict[str, Any]


def known_encoding(value: str | None) -> str | None:
    """Return the canonical name of an encoding; ValueError for an unknown encoding."""
    try:
        return value and codecs.lookup(value).name
    except LookupError:
        raise ValueError(f"there is no encoding {value!r}") from None


class CaptionCount:
    """Counts the captions of a source whose declaration names their place."""

    def __init__(self, source: str, place: str) -> None:
        self._source, self._place = source, place
        self._items = self._captions = 0

    def add(self, items: Iterable[Item]) -> None:
        """Count items without a reason; a sidecar that will be read counts as a caption."""
        for item in items:
            if item.reason is None:
                self._items += 1
                later = "sidecar" in item.locator_state or "sidecars" in item.locator_state
                self._captions += item.caption is not None or later

    def warn(self, log: logging.Logger) -> None:
        """Log one warning if no item has a caption."""
        if self._items and not self._captions:
            log.warning(
                "%s: 0 of %s items have a caption in %s", self._source, f"{self._items:,}", self._place
            )


class Sidecars:
    """Matches sidecars to files by name: `a.png` has `a.txt`, else `a.png.txt`.

    Names may be paths; a sidecar and its file are in the same folder.
    """

    def __init__(self, suffix: str, names: Iterable[str]) -> None:
        suffix = suffix.lower()
        self._by_stem: dict[str, str] = {}
        others = []
        for name in names:
            if name[-len(suffix) :].lower() == suffix and len(name) > len(suffix):
                self._by_stem[name[: -len(suffix)]] = name
            else:
                others.append(name)
        claimed = {found for name in others if (found := self._exact(name))}
        self._by_nfc = {
            _nfc(stem): name
            for stem, name in self._by_stem.items()
            if not stem.isascii() and name not in claimed
        }
        self._taken = claimed | {found for name in others if (found := self.of(name))}

    def of(self, name: str) -> str | None:
        """Return the sidecar of the file `name`, or None; names are compared in NFC if needed."""
        found = self._exact(name)
        if found is None and self._by_nfc and not name.isascii():
            stem = name.rpartition(".")[0]
            found = self._by_nfc.get(_nfc(stem)) or self._by_nfc.get(_nfc(name))
        return found

    def _exact(self, name: str) -> str | None:
        stem, _, extension = name.rpartition(".")
        found = None if "/" in extension else self._by_stem.get(stem)
        return found if found and found != name else self._by_stem.get(name)

    def taken(self, name: str) -> bool:
        """Return whether `name` is the sidecar of another file."""
        return name in self._taken


def _nfc(name: str) -> str:
    """Return a name in NFC; macOS writes names with combining characters."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def read_sidecar(data: bytes, options: CaptionOptions) -> Sidecar:
    """Parse the content of a sidecar. Never raises: errors become fields of `meta` (see CaptionOptions)."""
    try:
        text = decode(data, options.encoding)
        if options.form == "json":
            return _from_json(text, options)
        if options.form == "stamps":
            return Sidecar(_chosen(_stamps(text, options.language or "en"), options), {})
        return Sidecar(_chosen({options.language or "": text}, options), {})
    except (ValueError, RecursionError) as error:
        return bad_sidecar(str(error))


def bad_sidecar(detail: str) -> Sidecar:
    """Return the result for an invalid sidecar."""
    return Sidecar({}, {"sidecar": {"reason": Reason.BAD_SIDECAR, "detail": detail}})


def decode(data: bytes, declared: str | None = None) -> str:
    """Decode a sidecar: UTF-8, UTF-16 with a BOM, or the declared encoding; else ValueError."""
    if len(data) > MAX_SIDECAR:
        raise ValueError(f"more than {MAX_SIDECAR} bytes")
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        if declared:
            return data.decode(declared)
        hint = "" if encoding == "utf-16" else " (`caption.encoding` names another one, such as cp1254)"
        raise ValueError(f"not {encoding[:6].rstrip('-')} text at byte {error.start}{hint}") from error


def language_tag(code: str) -> str:
    """Convert a POSIX language code to a BCP 47 tag: pt_BR, sr@latin to pt-BR, sr-Latn.

    ValueError if `code` is not a language code.
    """
    if not _CODE.fullmatch(code):
        raise ValueError(f"{code[:40]!r} is no language code")
    base, _, modifier = code.partition("@")
    steps = [base.replace("_", "-")]
    if modifier:
        steps.append({"latin": "Latn", "cyrillic": "Cyrl"}.get(modifier, modifier))
    return "-".join(steps)


def _stamps(text: str, default: str) -> dict[str, str]:
    """Return captions by language: line 1 is in the default language, `code.utf8=` lines follow.

    The first caption of a language is used. Lines of another form (such as empty lines) are ignored.
    """
    first, *lines = text.split("\n")
    captions = {default: first.removesuffix("\r")}
    for line in lines:
        if match := _STAMP_LINE.fullmatch(line.removesuffix("\r")):
            captions.setdefault(language_tag(match[1]), match[2])
    return captions


def _chosen(captions: Mapping[str, str], options: CaptionOptions) -> dict[str, str]:
    """Return the caption in the most preferred language, with its language; '' is an unnamed language."""
    present = {tag.lower(): tag for tag, caption in captions.items() if caption.strip()}
    preferred: Iterable[str] = options.languages or [options.language or "", *present]
    found = next((present[tag.lower()] for tag in preferred if tag.lower() in present), None)
    if found is None:
        return {}
    captions[found].encode()  # JSON may contain lone surrogates: a ValueError, too
    return {"caption": captions[found]} | ({"language": found} if found else {})


def _from_json(text: str, options: CaptionOptions) -> Sidecar:
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")
    updates: dict[str, Any] = {}
    problems = []
    try:
        updates |= _chosen(_captions(_field(content, options.key), content, options), options)
    except ValueError as error:
        problems.append(f"{options.key}: {error}")
    turns = _field(content, options.conversations)
    if turns is not None:
        try:
            updates["conversations"] = conversation(turns)
        except ValueError as error:
            problems.append(f"{options.conversations}: {error}")
    return Sidecar(updates, bad_sidecar("; ".join(problems)).meta if problems else {})


def _field(content: object, path: str) -> object:
    """Return the field at a dotted path; a field whose name contains the dots has priority."""
    if isinstance(content, dict):
        if path in content:
            return content[path]
        head, dot, rest = path.partition(".")
        if dot and head in content:
            return _field(content[head], rest)
    return None


def _captions(value: object, content: dict[str, object], options: CaptionOptions) -> dict[str, str]:
    """Return captions by language from the JSON value of the caption's field."""
    if value is None:
        return {}
    if isinstance(value, dict):
        if not all(isinstance(caption, str) for caption in value.values()):
            raise ValueError("not an object of texts by language")
        return {language_tag(code): caption for code, caption in value.items()}
    if isinstance(value, list):
        value = next((text for text in value if not isinstance(text, str) or text.strip()), "")
    if not isinstance(value, str):
        raise ValueError("neither a text, nor a list of texts, nor texts by language")
    named = content.get("language")
    return {language_tag(named) if isinstance(named, str) and named else options.language or "": value}
