"""A replica of an IIIF archive: a collection of manifests of Presentation 2 and 3.

Modeled on iiif.io/api/presentation/2.1, 3.0 and the fixtures of IIIF/presentation-validator: paged, nested
collections, language maps, choices, image services of versions 1 to 3, of level 0, and none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from replica import Answer, Replica

V2 = "http://iiif.io/api/presentation/2/context.json"
V3 = "http://iiif.io/api/presentation/3/context.json"


class IiifArchive(Replica):
    """`images` maps the URL of each full-size image to its title and date."""

    def build(self) -> None:
        base = f"{self.base}/iiif"
        self.start = f"{base}/top"
        self.images: dict[str, tuple[str, str | None]] = {}
        self.things: dict[str, dict[str, Any]] = {
            "/iiif/top": self._three("top", "Collection", {"tr": ["Gazeteler"], "en": ["Newspapers"]})
            | {
                "items": [
                    {"id": f"{base}/three", "type": "Manifest", "label": {"none": ["Ikdam"]}},
                    {"id": f"{base}/old", "type": "Collection", "label": {"en": ["Older"]}},
                    {"id": f"{base}/gone", "type": "Manifest", "label": {"none": ["Lost"]}},
                ]
            },
            "/iiif/three": self._manifest_three(),
            "/iiif/old": {
                "@context": V2,
                "@id": f"{base}/old",
                "@type": "sc:Collection",
                "label": "Older",
                "total": 2,
                "first": f"{base}/old/1",
            },
            "/iiif/old/1": {
                "@id": f"{base}/old/1",
                "@type": "sc:Collection",
                "label": "Older",
                "manifests": [{"@id": f"{base}/two", "@type": "sc:Manifest", "label": "Servet"}],
                "next": f"{base}/old/2",
            },
            "/iiif/old/2": {
                "@id": f"{base}/old/2",
                "@type": "sc:Collection",
                "members": [{"@id": f"{base}/one", "@type": "sc:Manifest", "label": "Takvim"}],
            },
            "/iiif/two": self._manifest_two(),
            "/iiif/one": self._manifest_one(),
        }

    def _three(self, name: str, kind: str, label: dict[str, list[str]]) -> dict[str, Any]:
        return {"@context": V3, "id": f"{self.base}/iiif/{name}", "type": kind, "label": label}

    def _manifest_three(self) -> dict[str, Any]:
        def canvas(number: int, body: object) -> dict[str, Any]:
            place = f"{self.base}/iiif/three/canvas/{number}"
            note = {"type": "Annotation", "motivation": "painting", "body": body, "target": place}
            comment = {
                "type": "Annotation",
                "motivation": ["commenting"],
                "body": {"type": "TextualBody", "value": "!"},
            }
            page = {"type": "AnnotationPage", "items": [note, comment]}
            return {"id": place, "type": "Canvas", "label": {"none": [f"p. {number}"]}, "items": [page]}

        def image(name: str, service: object = None) -> dict[str, Any]:
            whole = {
                "id": f"{self.base}/images/{name}/full/300,/0/default.jpg",
                "type": "Image",
                "format": "image/jpeg",
            }
            return whole | ({"service": service} if service is not None else {})

        def address(name: str) -> str:
            return f"{self.base}/images/{name}"

        bodies = [
            image("3a", [{"id": address("3a"), "type": "ImageService3", "profile": "level2"}]),
            image("3b", {"@id": address("3b"), "@type": "ImageService2",
                         "profile": "http://iiif.io/api/image/2/level2.json"}),
            {"type": "Choice", "items": [image("3c", [{"id": address("3c"), "type": "ImageService3",
                                                       "profile": "level0"}]), image("not-this")]},
        ]  # fmt: skip
        date = "1928-11-01"
        for name in ("3a/full/max", "3b/full/full", "3c/full/300,"):
            self.images[f"{self.base}/images/{name}/0/default.jpg"] = ("İkdam", date)
        return self._three("three", "Manifest", {"ota": ["اقدام"], "tr": ["İkdam"]}) | {
            "navDate": f"{date}T00:00:00Z",
            "rights": "http://creativecommons.org/publicdomain/mark/1.0/",
            "requiredStatement": {"label": {"en": ["Attribution"]}, "value": {"en": ["<b>A Library</b>"]}},
            "metadata": [
                {"label": {"tr": ["Sayı"]}, "value": {"none": ["11345"]}},
                {"label": {"en": ["Language"]}, "value": {"none": ["ota"]}},
            ],
            "items": [canvas(number, body) for number, body in enumerate(bodies, 1)],
        }

    def _manifest_two(self) -> dict[str, Any]:
        def canvas(number: int, name: str, service: object) -> dict[str, Any]:
            resource = {"@id": f"{self.base}/images/{name}.jpg", "@type": "dctypes:Image", "service": service}
            note = {"@type": "oa:Annotation", "motivation": "sc:painting", "resource": resource}
            return {
                "@id": f"{self.base}/iiif/two/{number}",
                "@type": "sc:Canvas",
                "label": str(number),
                "images": [note],
            }

        service = {
            "@context": "http://iiif.io/api/image/2/context.json",
            "@id": f"{self.base}/images/2a",
            "profile": ["http://iiif.io/api/image/2/level1.json", {"supports": ["sizeByW"]}],
        }
        older = {
            "@context": "http://library.stanford.edu/iiif/image-api/1.1/context.json",
            "@id": f"{self.base}/images/2b",
            "profile": "http://library.stanford.edu/iiif/image-api/1.1/conformance.html#level1",
        }
        self.images[f"{self.base}/images/2a/full/full/0/default.jpg"] = ("Servet", "1936-01-05")
        self.images[f"{self.base}/images/2b/full/full/0/native.jpg"] = ("Servet", "1936-01-05")
        canvases = [canvas(1, "2a", service), canvas(2, "2b", older)]
        return {
            "@context": V2,
            "@id": f"{self.base}/iiif/two",
            "@type": "sc:Manifest",
            "label": [{"@value": "Servet", "@language": "tr"}],
            "license": "http://rightsstatements.org/vocab/NoC-NC/1.0/",
            "attribution": "Provided by A Library",
            "metadata": [
                {"label": "Date:", "value": "5 Kânunusani 1936"},
                {"label": [{"@value": "Issue", "@language": "en"}], "value": ["77"]},
            ],
            "sequences": [{"@type": "sc:Sequence", "canvases": canvases}],
        }

    def _manifest_one(self) -> dict[str, Any]:
        plain = {"@id": f"{self.base}/images/1a.jpg", "@type": "dctypes:Image"}
        choice = {
            "@type": "oa:Choice",
            "default": plain,
            "item": [plain | {"@id": f"{self.base}/images/no.jpg"}],
        }
        self.images[f"{self.base}/images/1a.jpg"] = ("Takvim", None)
        bare = {"@type": "sc:Canvas", "@id": f"{self.base}/iiif/one/bare", "images": []}
        canvas = {
            "@type": "sc:Canvas",
            "label": "1r",
            "images": [{"motivation": "sc:painting", "resource": choice}],
        }
        return {
            "@type": "sc:Manifest",
            "@id": f"{self.base}/iiif/one",
            "label": "Takvim",
            "attribution": "A Museum",
            "sequences": [{"canvases": [canvas, bare]}],
        }

    def answer(self, path: str, headers: Mapping[str, str]) -> Answer:
        return Answer(json.dumps(self.things[path]).encode(), "application/ld+json")
