"""A newspaper archive is crawled, rendered, sampled by title, built, audited and loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from newspaper_archive import ROOT, NewspaperArchive


def test_a_crawled_archive_becomes_a_corpus(
    project: Callable[..., Any], tmp_path: Path, monkeypatch: Any
) -> None:
    with NewspaperArchive() as archive:
        mine = project(
            [
                {
                    "name": "gazete",
                    "adapter": "scrape",
                    "spider": "istanbul_university",
                    "start": archive.base + ROOT,
                    "category": "documents/newspapers/{title}/{year}",
                    "license": "LicenseRef-PublicDomain",
                }
            ],
            fetch={
                "allow_private": ["127.0.0.1"],
                "backoff": 0.05,
                "per_host": {"requests_per_second": 1000, "concurrency": 4},
            },
            pdf={"dpi": 72, "renderer": "pdfium"},
            sample={"name": "gazeteler", "seed": 1, "target": 20, "allow_shortfall": True},
            corpus={"format": "parquet"},
        )
        mine.derlem("discover")
        titles = mine.rows("SELECT DISTINCT split_part(category, '/', 3) AS title FROM items ORDER BY 1")
        assert len(titles) == 3
        quotas = {row["title"]: {"max": "50%"} for row in titles}
        nested = {"documents": {"children": {"newspapers": {"children": quotas}}}}
        text = mine.config.read_text()
        assert "quotas" not in text
        import yaml

        config = yaml.safe_load(text)
        config["sample"]["quotas"] = nested
        mine.config.write_text(yaml.safe_dump(config))
        mine.derlem("run")
        mine.derlem("audit")

    [progress] = mine.rows("FROM progress")
    documents = mine.rows("SELECT status, reason FROM items WHERE parent_id IS NULL")
    assert len(documents) == 40 and progress["pending"] == 0
    assert Counter(row["reason"] for row in documents if row["status"] != "expanded") == {
        "http_4xx": 1,
        "body_truncated": 1,
    }
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    import datasets

    corpus = datasets.load_dataset(
        str(mine.work / "corpora" / "gazeteler"), split="train", cache_dir=str(tmp_path / "cache")
    )
    held = Counter(row["category"][2] for row in corpus)
    assert 0 < max(held.values()) <= 10 and len(corpus) == sum(held.values())
    assert all(
        row["image"].size[0] > 0 and row["category"][:2] == ["documents", "newspapers"] for row in corpus
    )
