"""Spiders for JSON interfaces: Library of Congress, IIIF, Internet Archive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from iiif_replica import IiifArchive
from internet_archive_replica import InternetArchiveReplica
from loc_replica import DAYS, LCCN, NO_PDF, PAGES, LibraryOfCongress

from derlem.adapters.scrape.spiders.iiif import full_size
from derlem.catalog.models import Item
from derlem.catalog.status import Reason

Crawl = Callable[..., list[Item]]
Served = Callable[[Any], Any]


@pytest.mark.parametrize("display", ["", "&dl=page"])
def test_library_of_congress(served: Served, crawl: Crawl, display: str) -> None:
    library = served(LibraryOfCongress())
    items = crawl(
        "loc_newspapers",
        f"{library.base}/collections/chronicling-america/?q=star{display}",
        category="newspapers/{title}/{year}/{month}",
    )
    expected = {library.pdf(day, page): (day, page) for day in DAYS for page in range(1, PAGES + 1)}
    del expected[library.pdf(*NO_PDF)]
    found = {item.uri: item for item in items if item.reason is None}
    assert set(found) == set(expected)
    for url, (day, page) in expected.items():
        item = found[url]
        assert item.category == "newspapers/Evening star./1922/12"
        meta = item.meta
        assert (meta["date"], meta["date_precision"], meta["date_text"]) == (day, "day", day)
        assert (meta["issue"], meta["page"], meta["lccn"], meta["language"]) == (
            "ed-1",
            str(page),
            LCCN,
            "english",
        )
        assert (
            meta["rights"] == "The Library of Congress believes that the newspapers are in the public domain."
        )
    assert [item.reason for item in items if item.uri not in found] == [Reason.NO_IMAGE]
    assert max(library.count().values()) == 1


def test_library_of_congress_other_formats(served: Served, crawl: Crawl) -> None:
    library = served(LibraryOfCongress())
    start = f"{library.base}/collections/chronicling-america/"
    items = crawl("loc_newspapers", start, options={"mimetype": "image/jpeg"})
    assert len(items) == len(DAYS) * PAGES
    assert all(item.uri.endswith("/full/pct:12.5/0/default.jpg") for item in items)  # the larger one


def test_iiif(served: Served, crawl: Crawl) -> None:
    archive = served(IiifArchive())
    items = crawl("iiif", archive.start, category="iiif/{collection}/{title}")
    found = {item.uri: item for item in items if item.reason is None}
    assert {url: (item.meta["title"], item.meta.get("date")) for url, item in found.items()} == archive.images
    assert {item.uri: item.reason for item in items if item.reason is not None} == {
        f"{archive.base}/iiif/gone": Reason.HTTP_4XX,
        f"{archive.base}/iiif/one/bare": Reason.NO_IMAGE,
    }
    new, old = (
        found[f"{archive.base}/images/3a/full/max/0/default.jpg"],
        found[f"{archive.base}/images/1a.jpg"],
    )
    assert new.category == "iiif/Gazeteler/İkdam"
    assert new.language == "ota"
    assert new.meta["issue"] == "11345"
    assert new.meta["page"] == "p. 1"
    assert new.meta["rights"] == "http://creativecommons.org/publicdomain/mark/1.0/"
    assert new.meta["attribution"] == "A Library"
    assert old.category == "iiif/Older/Takvim"
    assert old.meta["rights"] == "A Museum"
    two = [item.meta for item in items if item.meta.get("title") == "Servet"]
    assert {(meta["date_text"], meta["issue"]) for meta in two} == {("5 Kânunusani 1936", "77")}


def test_an_image_without_a_service_keeps_its_url() -> None:
    assert full_size({"@id": "https://h.example/x.jpg"}) == "https://h.example/x.jpg"
    assert full_size(
        {"id": "https://h.example/x.jpg", "service": ["?", {"id": "https://h.example/s"}]}
    ).endswith("/x.jpg")


@pytest.mark.parametrize("claimed", [None, 12_000])
def test_internet_archive(served: Served, crawl: Crawl, claimed: int | None) -> None:
    archive = served(InternetArchiveReplica(claimed=claimed))
    items = crawl("internet_archive", f"{archive.base}/details/gazete", category="ia/{creator}/{year}")
    names = archive.identifiers
    found = {item.uri: item for item in items if item.reason is None}
    assert set(found) == {archive.pdf(name) for name in [names[0], *names[3:]]}
    refused = {item.uri: item for item in items if item.reason is not None}
    assert {url.rpartition("/")[2] for url in refused} == set(names[1:3])
    assert Counter(item.reason for item in refused.values()) == {Reason.NO_IMAGE: 2}
    first, later = found[archive.pdf(names[0])], found[archive.pdf(names[3])]
    assert first.category == "ia/Vakit Matbaası/1936"
    assert (first.meta["date"], first.meta["date_precision"], first.meta["rights"]) == (
        "1936-07-05",
        "day",
        "Free",
    )
    assert (later.meta["date"], later.meta["date_precision"], later.language) == ("1936-07", "month", "tur")
    assert later.meta["rights"] == "http://creativecommons.org/publicdomain/mark/1.0/"
    assert later.meta["identifier"] == names[3]
    assert set(archive.count("/metadata/").values()) == {1}


def test_internet_archive_search_and_formats(served: Served, crawl: Crawl) -> None:
    archive = served(InternetArchiveReplica(items=12))
    start = f"{archive.base}/search?query=collection%3Agazete"
    items = crawl("internet_archive", start, options={"formats": ["Text PDF"]})
    assert sum(item.uri.endswith("_text.pdf") for item in items) == 10
