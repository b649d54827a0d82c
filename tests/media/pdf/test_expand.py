"""A document becomes its pages, or has a reason."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from derlem.catalog.models import Item, Rejected, item_id
from derlem.catalog.status import Reason
from derlem.media.pdf import PdfOptions, expand
from tests.factories.pdf import Page, write_packed_pdf, write_pdf


@pytest.fixture
def pages_of() -> Callable[..., list[Item]]:
    def run(pdf: bytes, document: Item | None = None, **settings: Any) -> list[Item]:
        return expand(pdf, document or Item("news", "a.pdf"), PdfOptions(**settings)).pages

    return run


def test_pages_inherit_what_the_document_says(pages_of: Callable[..., list[Item]]) -> None:
    document = Item(
        "news",
        "issues/1936.tar",
        locator="a b.pdf",
        category="documents/newspapers/akşam/1936",
        caption="Akşam, 1 Temmuz 1936",
        language="tr",
        license="LicenseRef-PublicDomain",
        meta={"title": "Akşam", "date": "1936-07-01"},
    )
    pdf = write_pdf([Page(width=100, height=200), Page(width=300.5, height=200)])
    first, second = pages_of(pdf, document)
    assert (first.locator, second.locator) == ("a b.pdf#page=1", "a b.pdf#page=2")
    for number, item in enumerate((first, second), start=1):
        assert item.parent_id == document.item_id
        assert item.item_id == item_id("news", "issues/1936.tar", f"a b.pdf#page={number}")
        assert (item.uri, item.category, item.caption) == (document.uri, document.category, document.caption)
        assert (item.language, item.license, item.reason) == ("tr", "LicenseRef-PublicDomain", None)
        assert item.locator_state["page"] == number and len(item.document_sha256 or "") == 64
        assert item.meta["title"] == "Akşam"
    assert second.meta["pdf"] == {"page": 2, "pages": 2, "size": [300.5, 200.0]}
    assert "pdf" not in document.meta


def test_a_document_without_a_locator(pages_of: Callable[..., list[Item]]) -> None:
    assert [item.locator for item in pages_of(write_pdf([Page()] * 2))] == ["page=1", "page=2"]


def test_sizes_are_those_of_the_upright_visible_page(pages_of: Callable[..., list[Item]]) -> None:
    turned = Page(width=100, height=200, entries=b"/Rotate 90")
    cropped = Page(width=100, height=200, entries=b"/CropBox[10 20 60 100]")
    sizes = [item.meta["pdf"]["size"] for item in pages_of(write_pdf([turned, cropped]))]
    assert sizes == [[200.0, 100.0], [50.0, 80.0]]


def test_impossible_pages_are_told_at_once(pages_of: Callable[..., list[Item]]) -> None:
    pdf = write_pdf([Page(), Page(width=8400, height=8400), Page(missing=True), Page()])
    assert [item.reason for item in pages_of(pdf)] == [None, Reason.PAGE_TOO_LARGE, Reason.PAGE_DAMAGED, None]
    assert [item.reason for item in pages_of(pdf, dpi=72)] == [None, None, Reason.PAGE_DAMAGED, None]


@pytest.mark.parametrize(
    ("pdf", "reason"),
    [
        (b"%PDF-1.4\nin name only", Reason.PDF_DAMAGED),
        (b"%PDF-", Reason.PDF_DAMAGED),
        (b"%PDF-1.7\n" + bytes(5000), Reason.PDF_DAMAGED),
    ],
)
def test_documents_in_name_only(pages_of: Callable[..., list[Item]], pdf: bytes, reason: Reason) -> None:
    with pytest.raises(Rejected) as caught:
        pages_of(pdf)
    assert caught.value.reason is reason


def test_a_document_without_pages(pages_of: Callable[..., list[Item]]) -> None:
    for damaged in (b"%PDF-1.4\nin name only", b""):  # pdfium remembers its last error
        with contextlib.suppress(Rejected):
            pages_of(damaged)
        with pytest.raises(Rejected) as caught:
            pages_of(write_pdf([]))
        assert caught.value.reason is Reason.PDF_EMPTY


@pytest.mark.parametrize(
    ("entry", "unit"), [(b"", 1), (b"/UserUnit 2.5", 2.5), (b"/UserUnit 0", 1), (b"/UserUnit -3", 1)]
)
def test_sizes_follow_the_user_unit(pages_of: Callable[..., list[Item]], entry: bytes, unit: float) -> None:
    pages = pages_of(write_pdf([Page(width=100, height=200), Page(width=100, height=200, entries=entry)]))
    assert [item.meta["pdf"]["size"] for item in pages] == [[100, 200], [100 * unit, 200 * unit]]


def test_a_user_unit_in_an_object_stream(pages_of: Callable[..., list[Item]]) -> None:
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 72 36]/UserUnit 4/Resources<<>>>>"
    assert pages_of(write_packed_pdf(page))[0].meta["pdf"]["size"] == [288, 144]


def test_an_encrypted_document(pages_of: Callable[..., list[Item]]) -> None:
    key = b"/Encrypt<</Filter/Standard/V 1/R 2/P -4/O<%s>/U<%s>>>/ID[<00><00>]" % (b"ab" * 32, b"cd" * 32)
    with pytest.raises(Rejected) as caught:
        pages_of(write_pdf([Page()], trailer=key))
    assert caught.value.reason is Reason.PDF_ENCRYPTED


def test_the_same_document_gives_the_same_pages(pages_of: Callable[..., list[Item]]) -> None:
    pdf = write_pdf([Page()] * 3)
    assert pages_of(pdf) == pages_of(pdf)
