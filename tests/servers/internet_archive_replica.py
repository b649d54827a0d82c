"""A replica of the Internet Archive: its search, its scraping interface and its metadata.

Modeled on archive.org/help/aboutsearch.htm and the metadata API: search in pages up to the 10,000th result,
the scraping interface with a cursor, items with files in many formats, a dark item and an item without files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from replica import Answer, Replica, small_pdf


class InternetArchiveReplica(Replica):
    """130 items in the collection `gazete`; `claimed` is the number of results that the search reports."""

    def __init__(self, items: int = 130, claimed: int | None = None) -> None:
        self.identifiers = [f"gazete_{number:04d}" for number in range(items)]
        self.claimed = items if claimed is None else claimed
        super().__init__()

    def pdf(self, identifier: str) -> str:
        """The URL of an item's PDF."""
        return f"{self.base}/download/{identifier}/{quote(f'{identifier} nüsha.pdf')}"

    def answer(self, path: str, headers: Mapping[str, str]) -> Answer:
        parts = urlsplit(path)
        parameters = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/advancedsearch.php":
            return _json(self._search(parameters))
        if parts.path == "/services/search/v1/scrape":
            return _json(self._scrape(parameters))
        if parts.path.startswith("/metadata/"):
            return _json(self._item(parts.path.rpartition("/")[2]))
        if parts.path.startswith("/download/"):
            return Answer(small_pdf(parts.path[-20:]), "application/pdf")
        raise LookupError(path)

    def _search(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        assert parameters["q"] == "collection:gazete"
        assert parameters["output"] == "json"
        rows, page = int(parameters["rows"]), int(parameters["page"])
        start = (page - 1) * rows
        assert start + rows <= 10_000
        docs = [{"identifier": name} for name in self.identifiers[start : start + rows]]
        return {
            "responseHeader": {
                "status": 0,
                "QTime": 12,
                "params": {"query": parameters["q"], "rows": rows, "start": start},
            },
            "response": {"numFound": self.claimed, "start": start, "docs": docs},
        }

    def _scrape(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        assert int(parameters["count"]) >= 100
        start, step = int(parameters.get("cursor", 0)), 100
        shown = self.identifiers[start : start + step]
        more = start + step < len(self.identifiers)
        cursor = {"cursor": str(start + step)} if more else {}
        return {
            "items": [{"identifier": name} for name in shown],
            "total": self.claimed,
            "count": len(shown),
            **cursor,
        }

    def _item(self, identifier: str) -> dict[str, Any]:
        number = int(identifier.rpartition("_")[2])
        metadata: dict[str, Any] = {
            "identifier": identifier,
            "mediatype": "texts",
            "collection": ["gazete", "newspapers"],
            "title": f"Vakit {number}",
            "date": "1936-07" if number % 2 else "1936-07-05",
            "language": ["tur", "fre"],
            "creator": "Vakit Matbaası",
            "volume": "19",
        }
        if number == 1:
            return {"created": 1, "is_dark": True, "metadata": metadata}
        metadata |= (
            {"licenseurl": "http://creativecommons.org/publicdomain/mark/1.0/"}
            if number
            else {"rights": "<i>Free</i>"}
        )
        files = [
            {"name": f"{identifier}_meta.xml", "source": "original", "format": "Metadata", "size": "1520"},
            {"name": f"{identifier}_djvu.txt", "source": "derivative", "format": "DjVuTXT", "size": "81521"},
            {
                "name": f"{identifier}_text.pdf",
                "source": "derivative",
                "format": "Text PDF",
                "size": "9000000",
            },
            {
                "name": f"{identifier} nüsha.pdf",
                "source": "original",
                "format": "Image Container PDF",
                "size": "8123456",
            },
        ]
        return {
            "created": 1700000000,
            "d1": "ia600503.us.archive.org",
            "dir": f"/0/items/{identifier}",
            "files": files[:2] if number == 2 else files,
            "files_count": len(files),
            "metadata": metadata,
            "server": "ia600503.us.archive.org",
        }


def _json(thing: object) -> Answer:
    return Answer(json.dumps(thing).encode(), "application/json")
