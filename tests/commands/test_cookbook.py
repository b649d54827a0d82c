"""Every query of docs/howto/cookbook.md runs on a real corpus and gives what its question asks for."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import derlem
from tests.factories.demo_sources import SAMPLE, demo_sources

ROOT = Path(__file__).resolve().parents[2]


def recipes(page: Path = ROOT / "docs" / "howto" / "cookbook.md") -> dict[str, str]:
    """Question to query."""
    found = re.findall(r"^### (.*?)\n```sql\n(.*?)```", page.read_text("utf-8"), re.M | re.S)
    return {question: text.strip() for question, text in found}


EMPTY = {
    "Which documents gave the most pages?",
    "How many items of each source are copies of another item?",
    "Which pairs of sources share images?",
    "Which hosts fail most often?",
    "Who opts out, and by which signal?",
    "Which items will the next run try again?",
    "Which quotas were missed, by how much and why?",
}
"""Questions to which the demo has no rows: no item is fetched from a host, no image occurs twice, and
every quota is met."""

Ask = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory, demo: Path) -> Ask:
    """Runs a query on the demo's corpora `tr-vlm-v1` and `tr-vlm-v2`."""
    folder = tmp_path_factory.mktemp("cookbook")
    for name, target in (("tr-vlm-v1", 40), ("tr-vlm-v2", 30)):
        settings = {"sources": demo_sources(demo), "sample": {**SAMPLE, "name": name, "target": target}}
        project = derlem.Project(settings, base=folder)
        project.run()
    item = project.sql(
        "SELECT min(item_id) AS item FROM manifest_items WHERE corpus = 'tr-vlm-v1'"
    ).to_pylist()
    top = project.sql("SELECT min(node) AS node FROM allocations WHERE node <> ''").to_pylist()

    def run(text: str) -> list[dict[str, Any]]:
        text = text.replace("0123456789abcdef0123456789abcdef", item[0]["item"])
        text = text.replace("'documents", f"'{top[0]['node']}")
        rows: list[dict[str, Any]] = project.sql(text).to_pylist()
        return rows

    return run


def test_there_are_twenty_five_questions() -> None:
    assert len(recipes()) >= 25 and set(recipes()) >= EMPTY


@pytest.mark.parametrize("question", list(recipes()))
def test_the_query_answers(question: str, ask: Ask) -> None:
    rows = ask(recipes()[question])
    assert bool(rows) is (question not in EMPTY)


def test_answers_agree_with_each_other(ask: Ask) -> None:
    found = {question: ask(text) for question, text in recipes().items()}
    ready = sum(row["ready"] for row in found["What is in each source, and how far is it?"])
    assert ready == sum(row["images"] for row in found["How large are the images?"])
    assert ready == sum(row["ready"] for row in found["Which licenses apply, and to how much?"])
    assert ready == sum(row["ready"] for row in found["How much lies below each top category?"])
    funnel = found["Where did the items of each source leave on their way into the corpus?"]
    assert ready == sum(row["selected"] + row["not_selected"] for row in funnel)
    assert sum(row["in_corpus"] for row in funnel) == 40
    [both] = found["How do two manifests differ?"]
    assert both["only_in_first"] + both["in_both"] == 40 and both["only_in_second"] + both["in_both"] == 30
    [place] = found["In which shard is a sample, and where did it come from?"][:1]
    assert place["shard"].startswith("corpora/tr-vlm-v")
