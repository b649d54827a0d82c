"""A replica of the Library of Congress's JSON interface for newspapers.

Modeled on loc.gov/apis/json-and-yaml and the notebooks of LibraryOfCongress/data-exploration: searches with
`results` and `pagination`, records of issues (`resources[].files[page][]`) and of pages (`page[]`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from replica import Answer, Replica, small_pdf

DAYS = [f"1922-12-{day:02d}" for day in range(1, 8)]
LCCN = "sn83045462"
PAGES = 4
NO_PDF = ("1922-12-03", 2)


class LibraryOfCongress(Replica):
    """A newspaper of seven issues, four pages each; the third issue's second page has no PDF."""

    per_page = 3

    def build(self) -> None:
        self.robots = Answer(b"User-agent: *\nDisallow: /search\n", "text/plain")

    def pdf(self, day: str, page: int) -> str:
        """The URL of a page's PDF."""
        return f"{self.base}/storage-services/service/ndnp/dlc/data/{LCCN}/{day}/{page:04d}.pdf"

    def answer(self, path: str, headers: Mapping[str, str]) -> Answer:
        parts = urlsplit(path)
        parameters = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if parts.path.startswith("/storage-services/"):
            return Answer(small_pdf(parts.path[-30:]), "application/pdf")
        if parameters.get("fo") != "json":
            return Answer(b"<html>for people</html>")
        steps = parts.path.strip("/").split("/")
        if steps[0] == "collections":
            return _json(self._search(parameters))
        if steps[0] == "item":
            return _json(self._issue(steps[2]))
        if steps[0] == "resource":
            return _json(self._page(steps[2], int(parameters.get("sp", 1))))
        raise LookupError(path)

    def _search(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        assert parameters["at"] == "results,pagination"
        assert parameters["c"] == "100"
        if parameters.get("dl") == "page":
            found = [("resource", day, page) for day in DAYS for page in range(1, PAGES + 1)]
        else:
            found = [("item", day, 0) for day in DAYS]
        current = int(parameters.get("sp", 1))
        last = -(-len(found) // self.per_page)
        shown = found[(current - 1) * self.per_page : current * self.per_page]
        # Records contain URLs of the public site, over plain http.
        results: list[dict[str, Any]] = [
            {
                "id": self._address(kind, day, page),
                "url": self._address(kind, day, page),
                "date": day,
                "original_format": ["newspaper"],
                "online_format": ["image", "pdf", "online text"],
                "number_lccn": [LCCN],
                "access_restricted": False,
            }
            for kind, day, page in shown
        ]
        if current == 1:
            results.append(
                {"id": f"{self.base}/collections/chronicling-america/", "original_format": ["collection"]}
            )
            results.append({"id": "http://lccn.loc.gov/2009581123", "original_format": ["newspaper"]})
        mode = f"&dl={parameters['dl']}" if "dl" in parameters else ""
        following = f"{self.base}/collections/chronicling-america/?fo=json{mode}&sp={current + 1}"
        return {
            "results": results,
            "pagination": {
                "current": current,
                "next": following if current < last else None,
                "of": len(found),
                "perpage": self.per_page,
                "total": last,
            },
        }

    def _address(self, kind: str, day: str, page: int) -> str:
        tail = f"?sp={page}" if kind == "resource" else ""
        return f"{self.base}/{kind}/{LCCN}/{day}/ed-1/{tail}"

    def _item(self, day: str) -> dict[str, Any]:
        return {
            "date": day,
            "newspaper_title": ["Evening star."],
            "partof_title": ["evening star (washington, d.c.) 1854-1972"],
            "number_lccn": [LCCN],
            "number_edition": ["1"],
            "language": ["english"],
            "rights": [
                "<p>The Library of Congress believes that the newspapers are in the <b>public domain</b>.</p>"
            ],
        }

    def _files(self, day: str, page: int) -> list[dict[str, Any]]:
        image = f"{self.base}/image-services/iiif/{day}:{page}"
        files = [
            {"mimetype": "image/jp2", "url": f"{image}.jp2", "width": 5842, "height": 7400, "size": 4183190},
            {"mimetype": "text/xml", "url": f"{image}.xml", "size": 1132422},
            {
                "mimetype": "image/jpeg",
                "url": f"{image}/full/pct:6.25/0/default.jpg",
                "width": 365,
                "height": 462,
            },
            {
                "mimetype": "image/jpeg",
                "url": f"{image}/full/pct:12.5/0/default.jpg",
                "width": 730,
                "height": 925,
            },
        ]
        if (day, page) != NO_PDF:
            files.insert(1, {"mimetype": "application/pdf", "url": self.pdf(day, page), "size": 1234567})
        return files

    def _issue(self, day: str) -> dict[str, Any]:
        pages = [self._files(day, page) for page in range(1, PAGES + 1)]
        address = f"{self.base}/resource/{LCCN}/{day}/ed-1/"
        return {"item": self._item(day), "resources": [{"url": address, "files": pages}], "next_issue": None}

    def _page(self, day: str, page: int) -> dict[str, Any]:
        return {
            "item": self._item(day) | {"number_page": [f"{page:010d}"]},
            "page": self._files(day, page),
            "pagination": {"current": page, "of": PAGES},
            "resource": {"pdf": self.pdf(day, page)},
            "resources": [],
        }


def _json(thing: object) -> Answer:
    return Answer(json.dumps(thing).encode(), "application/json")
