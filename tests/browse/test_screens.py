"""`derlem browse` in a real browser: what a person does, how it looks, and that everyone can use it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

import derlem
from derlem.pipeline.lock import instance_lock
from derlem.pipeline.state import RunState, StateFile

from .conftest import SCREENS, Served, Visit, start, stop


def test_filter_page_open_an_item(visit: Visit) -> None:
    page = visit.context.new_page()
    page.goto(f"{visit.address}/items")
    expect(page.locator(".total")).to_have_text("66")
    first = page.locator("a.cell").first.get_attribute("href")
    page.locator("a[rel=next]").first.click()
    page.wait_for_url("**after=**")
    expect(page.locator("a.cell")).to_have_count(6)
    page.locator("a[rel=prev]").first.click()
    page.wait_for_url("**before=**")
    assert page.locator("a.cell").first.get_attribute("href") == first
    page.select_option("select[name=source]", "talks")
    page.wait_for_url("**source=talks")
    expect(page.locator("a.cell")).to_have_count(3)
    expect(page.locator(".total")).to_have_text("3")
    page.locator("a.cell").first.click()
    expect(page.locator("h1")).to_contain_text("0.png")
    loaded = page.locator("figure img").evaluate(
        "async (image) => { await image.decode(); return image.naturalWidth }"
    )
    assert loaded > 0
    expect(page.locator(".chain")).to_contain_text("talks")
    expect(page.locator(".turn")).to_have_count(2)
    expect(page.locator(".turn").first).to_contain_text("<image> What is <b>this</b>?")
    expect(page.locator("body")).to_contain_text("segments of the source were searched")


def test_a_rejected_item_shows_its_first_bytes(visit: Visit) -> None:
    page = visit.context.new_page()
    page.goto(f"{visit.address}/items?status=rejected")
    page.locator("a.cell", has_text="broken.png").click()
    expect(page.locator(".reason").first).to_have_text("corrupt")
    expect(page.locator("pre.hex")).to_contain_text("89 50 4e 47 0d 0a 1a 0a")
    expect(page.locator("pre.hex")).to_contain_text("mage <script>")


def test_hostile_texts_show_as_text(visit: Visit) -> None:
    page = visit.context.new_page()
    page.goto(f"{visit.address}/items?category=hostile")
    expect(page.locator(".caption").first).to_contain_text("<script>document.title")
    page.locator("a.cell").first.click()
    expect(page.locator("h1")).to_have_text("<b>name.png")
    caption = page.locator("blockquote")
    expect(caption).to_contain_text('<script>document.title = "run"</script><img src=x onerror=alert(1)>')
    expect(caption).to_contain_text("\\u202egnp.exe \\x1b[31mred")
    assert page.title().startswith("Item ")
    assert len(caption.inner_text()) < 110_000


def test_queries(visit: Visit) -> None:
    page = visit.context.new_page()
    page.goto(f"{visit.address}/sql")
    page.fill("#query", "SELECT source, count(*) AS n FROM items GROUP BY ALL ORDER BY source")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#answer tbody tr")).to_have_count(2)
    expect(page.locator("#answer")).to_contain_text("talks")
    for query, message in (
        ("ATTACH 'x.db'", "only queries are allowed"),
        ("FROM read_csv('/etc/passwd')", "file system operations are disabled"),
    ):
        page.fill("#query", query)
        page.click("form.sql button")
        expect(page.locator("#answer [role=alert]")).to_contain_text(message)


def test_two_manifests_are_compared(visit: Visit) -> None:
    page = visit.context.new_page()
    page.goto(f"{visit.address}/manifests")
    page.click("text=Compare two manifests")
    page.select_option("select[name=a]", "first")
    page.select_option("select[name=b]", "second")
    page.click("main button")
    expect(page.locator("table.diff tbody th").first).to_have_text("everything")
    difference = root_difference(page)
    assert difference["stayed"] + difference["went"] == 20 == difference["stayed"] + difference["came"]
    page.goto(f"{visit.address}/items?corpus=first")
    expect(page.locator("a.cell")).to_have_count(20)
    page.locator("a.cell").first.click()
    expect(page.locator("main")).to_contain_text("target 20")


def root_difference(page: Page) -> dict[str, int]:
    cells = page.locator("table.diff tbody tr").first.locator("td.number").all_inner_texts()
    return {
        name: abs(int(cell.replace("−", "-")))
        for name, cell in zip(("stayed", "went", "came"), cells, strict=True)
    }


def test_the_progress_of_a_run_is_watched(visit: Visit, tmp_path: Path) -> None:
    """The state file is written as a run writes it, while this process holds the workspace's lock."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "one.png").write_bytes(b"listed, and never read")
    source = {"name": "images", "adapter": "files", "path": "images", "license": "CC0-1.0"}
    (tmp_path / "derlem.yaml").write_text(json.dumps({"sources": [source]}))
    project = derlem.open(tmp_path / "derlem.yaml")
    project.discover()
    running = start(project)
    visit.address = running.address
    try:
        with instance_lock(project.workspace, "derlem run"):
            state = StateFile(project.workspace, RunState("20260101T000000Z-abcdef", "derlem run", ""))
            state.enter("ingest")
            page = visit.context.new_page()
            page.goto(f"{running.address}/runs")
            expect(page.locator("#live .status")).to_have_text("running")
            for number in (100, 350):
                state.state.counts["ingest"] = {"ready": number}
                state.write()
                expect(page.locator("#live")).to_contain_text(f"ready {number}")
            state.finish("done")
            expect(page.locator("#live .status")).to_have_text("done")
            page.close()
    finally:
        assert stop(running) == 0


PAGES = {
    "overview": "/",
    "items": "/items",
    "rejected": "/items?status=rejected",
    "item": "",
    "manifest": "/manifests/first",
    "compare": "/compare?a=first&b=second",
    "runs": "/runs",
    "sql": "/sql",
}
SIZES = {"desktop": (1360, 850), "phone": (390, 800)}


@pytest.mark.short(2)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_pages_are_accessible_and_kept_as_screenshots(
    chromium: Browser, served: Served, size: str, scheme: Literal["light", "dark"]
) -> None:
    width, height = SIZES[size]
    context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    visit = Visit(context, served.address)
    visit.watch()
    page = context.new_page()
    talk = next(served.project.items(source="talks"))
    SCREENS.mkdir(parents=True, exist_ok=True)
    for name, path in PAGES.items():
        page.goto(f"{served.address}{path or f'/items/{talk.item_id}'}")
        page.wait_for_load_state("networkidle" if "data-events" not in page.content() else "load")
        wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        assert not wide, f"{name} scrolls sideways"
        page.screenshot(path=SCREENS / f"browse-{name}-{size}-{scheme}.png")
        if (size == "phone") == (scheme == "dark"):  # contrast and structure, once for each look
            found = Axe().run(page).response["violations"]
            serious = [each for each in found if each["impact"] in ("serious", "critical")]
            assert not serious, json.dumps(serious, indent=1)
    context.close()
    assert not visit.problems
