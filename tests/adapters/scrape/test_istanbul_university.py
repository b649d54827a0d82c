"""The spider for Istanbul University's archive, against a replica with the archive's irregularities."""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from newspaper_archive import ACIK_SOZ, AKSAM, BROKEN_OFF, MISSING, ROOT, TITLES, Issue, NewspaperArchive

from derlem.adapters.scrape.adapter import CrawlIncomplete
from derlem.catalog.models import Item
from derlem.catalog.status import Reason

CATEGORY = "documents/newspapers/{title}/{year}"


def test_every_issue_is_found_with_its_date(
    served: Callable[[Any], Any], crawl: Callable[..., list[Item]]
) -> None:
    archive = served(NewspaperArchive())
    items = crawl("istanbul_university", archive.base + ROOT, category=CATEGORY)
    expected = archive.issues()
    assert {item.uri for item in items} == set(expected)
    assert len(items) == 40
    for item in items:
        title, issue = expected[item.uri]
        assert item.meta["title"] == title.name
        assert item.meta["slug"] == title.slug
        assert item.meta["date_text"] == issue.cell
        assert (item.meta.get("date"), item.meta.get("date_precision")) == (issue.date, issue.precision)
        assert item.meta["source_page"] == f"{archive.base}{ROOT}gazete.php?gazete={title.slug}"
        assert item.category == f"documents/newspapers/{title.name}/{str(issue.date)[:4]}"
        assert item.partition_key == "127.0.0.1"
        assert item.reason is None
    named = [item for item in items if item.meta["date_source"] == "file name"]
    assert [item.meta["date_text"] for item in named] == ["Haziran 1936"]


def test_a_crawl_follows_delays_pauses_and_robots_txt(
    served: Callable[[Any], Any], crawl: Callable[..., list[Item]]
) -> None:
    archive = served(NewspaperArchive(busy=2, retry_after="1", crawl_delay=0.2))
    assert len(crawl("istanbul_university", archive.base + ROOT)) == 40
    assert archive.requests[0].path == "/robots.txt"
    gaps = archive.gaps()[1:]  # a late arrival shortens only the next gap
    assert statistics.median(gaps) > 0.19 and sum(gaps) > 0.19 * len(gaps)
    refused = [place for place, request in enumerate(archive.requests) if request.status == 429]
    assert len(refused) == 2
    assert all(archive.gaps()[place] >= 1 for place in refused)  # the whole host pauses
    assert {request.headers["user-agent"] for request in archive.requests} == {"derlem/0.1.0"}
    assert not archive.count(ROOT + "yasak")


def test_a_second_crawl_revalidates_and_finds_new_issues(
    served: Callable[[Any], Any], crawl: Callable[..., list[Item]]
) -> None:
    archive = served(NewspaperArchive(busy=0))
    first = crawl("istanbul_university", archive.base + ROOT)
    new = Issue("14 Eylül 1936", "aksam/aksam_1936/aksam_1936_eylul_14.pdf", "1936-09-14", "day")
    years = {**AKSAM.years, 1936: [*AKSAM.years[1936], new]}
    archive.titles = [replace(AKSAM, years=years), *TITLES[1:]]
    archive.requests.clear()
    second = crawl("istanbul_university", archive.base + ROOT)
    assert {item.item_id for item in second} - {item.item_id for item in first} == {
        item.item_id for item in second if item.uri == archive.url(new.path)
    }
    assert len(second) == 41
    answers = {request.path: request.status for request in archive.requests}
    assert answers[ROOT] == answers[f"{ROOT}gazete.php?gazete={ACIK_SOZ.slug}"] == 304
    assert answers[f"{ROOT}gazete.php?gazete={AKSAM.slug}"] == 200


def test_pages_with_another_layout_are_reported(
    served: Callable[[Any], Any], crawl: Callable[..., list[Item]]
) -> None:
    archive = served(NewspaperArchive(busy=0))
    archive.titles = [replace(AKSAM, years={}), TITLES[2]]
    items = crawl("istanbul_university", archive.base + ROOT)
    empty = [(item.uri, item.reason) for item in items if item.reason]
    assert empty == [(f"{archive.base}{ROOT}gazete.php?gazete=aksam", Reason.PROTOCOL)]
    archive.titles = []
    with pytest.raises(CrawlIncomplete, match="an index without titles"):
        crawl("istanbul_university", archive.base + ROOT)


def test_a_killed_crawl_resumes_and_leaves_no_orphans(
    served: Callable[[Any], Any],
    source: Callable[..., Any],
    fetch: dict[str, Any],
    tmp_path: Path,
    repeats: Callable[[int, int], int],
) -> None:
    archive = served(NewspaperArchive(busy=1, crawl_delay=0.05))
    limits = {"per_host": {"concurrency": 1, "requests_per_second": 20}}
    arguments = {
        "workspace": str(tmp_path / "work"),
        "fetch": fetch,
        "catalog": str(tmp_path),
        "source": source("istanbul_university", archive.base + ROOT, limits=limits).model_dump(mode="json"),
    }
    command = [sys.executable, str(Path(__file__).with_name("crawl_once.py")), json.dumps(arguments)]
    moments, kills, completed = random.Random(4), 0, 0
    times = repeats(3, 20)
    for _ in range(times):
        begun = len(archive.requests)
        process = subprocess.Popen(command)
        while process.poll() is None and len(archive.requests) == begun:  # kill after the first request,
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 1.2))  # at a random time
        children = psutil.Process(process.pid).children() if process.poll() is None else []
        kills += process.poll() is None
        process.kill()
        completed += process.wait() == 0
        _, alive = psutil.wait_procs(children, timeout=60)
        assert not alive
    assert kills + completed == times
    assert kills >= times // 2
    subprocess.run(command, check=True)

    assert set((tmp_path / "found").read_text().splitlines()) == set(archive.issues())
    outcomes = dict(line.split() for line in (tmp_path / "finished").read_text().splitlines())
    assert set(outcomes) == set(archive.issues())
    failed = {url: outcome for url, outcome in outcomes.items() if not outcome.isdecimal()}
    assert failed == {archive.url(MISSING): "http_4xx", archive.url(BROKEN_OFF): "body_truncated"}

    # Documents are fetched once, unless the kill came between a document's arrival and its storage.
    documents = Counter(
        request.path for request in archive.requests if request.whole and request.path.endswith(".pdf")
    )
    assert len(documents) == 38
    assert sum(documents.values()) <= 38 + kills
    listings = archive.count(ROOT + "gazete.php", 200) + archive.count(ROOT + "index", 200)
    assert sum(listings.values()) <= len(TITLES) * (2 + completed) + kills
