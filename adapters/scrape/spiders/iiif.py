"""Spider for IIIF archives: collections and manifests (Presentation 2 and 3), images at full size.

Formats: iiif.io/api/presentation/2.1 and 3.0, iiif.io/api/image/2.1 and 3.0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scrapy.http import TextResponse

from ....catalog.status import Reason
from .base import ArchiveSpider, Found
from .dates import fold
from .documents import Unread
from .parsing import first, listed, plain

Json = Mapping[str, Any]

_LABELS = {
    "date_text": (
        "date",
        "date of publication",
        "date published",
        "date issued",
        "published",
        "tarih",
        "datum",
    ),
    "issue": ("issue", "issue number", "number", "volume", "sayi", "nummer", "numero"),
    "language": ("language", "languages", "dil", "sprache", "langue"),
}


class Iiif(ArchiveSpider):
    """Yields a document for each painted image of each manifest; `start` are collections or manifests."""

    name = "iiif"
    fields = frozenset({"page", "collection", "attribution"})
    follows_rules = False

    def parse(  # type: ignore[override]  # always a TextResponse
        self, response: TextResponse, collection: str | None = None
    ) -> Iterator[Found]:
        """Follow the parts of a collection, or yield the images of a manifest."""
        thing = response.json()
        kind = _kind(thing)
        if kind == "Manifest":
            yield from self._images(response, thing, collection)
        elif kind == "Collection":
            label = _words(thing.get("label")) or collection
            parts = (thing.get(key) for key in ("items", "collections", "manifests", "members"))
            for part in (part for some in parts for part in listed(some)):
                if _kind(part) in ("Manifest", "Collection"):
                    yield self._follow(response, _id(part), label)
            for key in ("first", "next"):  # collections of version 2 may be paged
                following = thing.get(key)
                if following:
                    yield self._follow(response, _id(following), label)
        else:
            yield Unread(
                response.url, Reason.PROTOCOL, f"neither a collection nor a manifest: {kind or 'no type'}"
            )

    def _follow(self, response: TextResponse, url: str, collection: str | None) -> Found:
        return self.listing(
            response.urljoin(url), self.parse, source_page=response.url, cb_kwargs={"collection": collection}
        )

    def _images(self, response: TextResponse, manifest: Json, collection: str | None) -> Iterator[Found]:
        attribution = manifest.get("requiredStatement") or {}
        fields = {
            "title": _words(manifest.get("label")),
            "rights": first(manifest.get("rights")) or first(manifest.get("license")),
            "attribution": _words(attribution.get("value") or manifest.get("attribution")),
            "collection": collection,
            **_described(manifest),
        }
        fields["date_text"] = first(manifest.get("navDate")) or fields.get("date_text")
        fields["rights"] = fields["rights"] or fields["attribution"]
        canvases = list(_canvases(manifest))
        for number, canvas in enumerate(canvases, 1):
            page = _words(canvas.get("label")) or str(number)
            images = list(_images(canvas))
            for image in images:
                document = self.document(response, full_size(image), **fields, page=page)
                if document is not None:
                    yield document
            if not images:
                where = _id(canvas) or f"{response.url}#canvas={number}"
                yield Unread(where, Reason.NO_IMAGE, "a canvas without an image", response.url)
        if not canvases:
            yield Unread(response.url, Reason.NO_IMAGE, "a manifest without canvases")


def full_size(image: Json) -> str:
    """Return the URL of an image resource at the full size of its image service.

    The size is `max` in Image API 3 and `full` in 2 and 1; the quality in 1 is `native`. A service of
    level 0 has only prepared files: in this case, and without a service, the result is the resource's URL.
    """
    for service in listed(image.get("service")):
        if not isinstance(service, Mapping):
            continue
        profile = " ".join(str(part) for part in listed(service.get("profile")) if isinstance(part, str))
        sort = (
            f"{service.get('type') or service.get('@type') or ''} {service.get('@context') or ''} {profile}"
        )
        base = _id(service).rstrip("/")
        if "level0" in sort or not base:
            continue
        if "ImageService3" in sort or "image/3" in sort:
            return f"{base}/full/max/0/default.jpg"
        if "ImageService1" in sort or "image-api/1" in sort or "image/1" in sort:
            return f"{base}/full/full/0/native.jpg"
        if "ImageService2" in sort or "image/2" in sort:
            return f"{base}/full/full/0/default.jpg"
    return _id(image)


def _kind(thing: Json) -> str:
    return str(thing.get("type") or thing.get("@type") or "").removeprefix("sc:")


def _id(thing: Json | str) -> str:
    return thing if isinstance(thing, str) else str(thing.get("id") or thing.get("@id") or "")


def _canvases(manifest: Json) -> Iterator[Json]:
    yield from (canvas for canvas in listed(manifest.get("items")) if _kind(canvas) == "Canvas")
    for sequence in listed(manifest.get("sequences"))[:1]:  # further sequences only reorder the canvases
        yield from listed(sequence.get("canvases"))


def _images(canvas: Json) -> Iterator[Json]:
    """Yield the images painted on a canvas; for a choice, its default, which is the first."""
    bodies = [image.get("resource") for image in listed(canvas.get("images"))]
    for page in listed(canvas.get("items")):
        bodies += [
            note.get("body")
            for note in listed(page.get("items"))
            if "painting" in listed(note.get("motivation"))
        ]
    for body in (body for some in bodies for body in listed(some)):
        chosen = body
        if _kind(body) in ("Choice", "oa:Choice"):
            options = listed(body.get("default")) or listed(body.get("items")) or listed(body.get("item"))
            chosen = options[0] if options else {}
        if not isinstance(chosen, Mapping) or not _id(chosen):
            continue
        if _kind(chosen).rpartition(":")[2] in ("Image", ""):
            yield chosen


def _described(manifest: Json) -> dict[str, str | None]:
    """Return the fields that the manifest's free-form metadata contain under common labels."""
    found: dict[str, str | None] = {}
    for entry in listed(manifest.get("metadata")):
        label = fold(_words(entry.get("label")) or "").strip(" :")
        for name, labels in _LABELS.items():
            if label in labels:
                found.setdefault(name, _words(entry.get("value")))
    return found


def _words(value: Any) -> str | None:
    """Return the text of a label: a string, `@value` (version 2), a language map (version 3), or a list."""
    if isinstance(value, Mapping):
        if "@value" in value:
            return plain(str(value["@value"]))
        for language in ("tr", "en", "none", "@none", *value):
            if value.get(language):
                return _words(value[language])
        return None
    if isinstance(value, list):
        return next((words for words in map(_words, value) if words), None)
    return plain(str(value)) if value is not None else None
