"""The page of `derlem report` in a real browser: the tree opens, nothing is loaded, everyone can use it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

import derlem

from .conftest import SCREENS, Visit

SIZES = {"desktop": (1360, 850), "phone": (390, 800)}


@pytest.fixture(scope="module")
def report(browsed: derlem.Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report on `first`, compared with `second`; one of the sampled texts may be hostile."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    browsed.report("first", compare="second").write(path)
    return path


@pytest.fixture(params=["desktop", "phone"])
def page(request: pytest.FixtureRequest, chromium: Browser, report: Path) -> Iterator[Page]:
    """The open page; at the end nothing may have gone wrong, and no other file was asked for."""
    width, height = SIZES[request.param]
    context = chromium.new_context(viewport={"width": width, "height": height})
    visit = Visit(context, report.as_uri())
    visit.watch()
    opened = context.new_page()
    opened.goto(report.as_uri())
    yield opened
    context.close()
    assert not visit.problems


def test_the_tree_opens_and_everyone_can_use_the_page(page: Page, request: pytest.FixtureRequest) -> None:
    cells = page.locator("#cells button")
    before = cells.all_inner_texts()
    assert before
    page.locator("#icicle input[value='3']").check()
    assert cells.all_inner_texts() != before  # sizes in bytes
    cells.nth(1).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#trail button").first).to_be_visible()
    summary = page.locator("figure details summary").first
    summary.click()
    assert page.evaluate("Array.from(document.images).every((image) => image.naturalWidth > 0)")
    assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    size = request.node.callspec.params["page"]
    SCREENS.mkdir(parents=True, exist_ok=True)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.screenshot(path=SCREENS / f"report-{size}-{scheme}.png", full_page=True)
        if (size == "phone") == (scheme == "dark"):  # contrast and structure, once for each look
            found = Axe().run(page).response["violations"]
            serious = [each for each in found if each["impact"] in ("serious", "critical")]
            assert not serious, json.dumps(serious, indent=1)
