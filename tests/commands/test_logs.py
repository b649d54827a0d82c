"""Log files have whole lines of all processes, with run, source, host and rate, and are rotated."""

from __future__ import annotations

import json
import logging
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from derlem.commands.logs import Retention, configure_logs
from derlem.core.log_context import log_context

LIMITS = Retention(max_bytes=10_000, files=2, days=30)


def configure(folder: Path | None, *, as_json: bool = False, retention: Retention = LIMITS) -> None:
    configure_logs(folder, level="INFO", levels={}, as_json=as_json, verbose=False, retention=retention)


@pytest.fixture(autouse=True)
def reset() -> Iterator[None]:
    yield
    configure_logs(None, level="WARNING", levels={}, as_json=False, verbose=False, retention=LIMITS)


@pytest.mark.parametrize(
    ("target", "why"), [("/dev/full", "No space left on device"), ("/dev", "Is a directory")]
)
def test_a_log_that_cannot_be_written_gives_one_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], target: str, why: str
) -> None:
    (tmp_path / "fetch.log").symlink_to(target)
    configure(tmp_path)
    for _ in range(3):
        logging.getLogger("derlem.fetch").info("this is lost")
    logging.getLogger("derlem.fetch").warning("this is seen")
    logging.getLogger("derlem.pipeline").info("this is kept")
    assert capsys.readouterr().err.splitlines() == [
        f"WARNING {tmp_path / 'fetch.log'}: logging stopped: {why}",
        "WARNING derlem.fetch: this is seen",
    ]
    assert (tmp_path / "pipeline.log").read_text().endswith("this is kept run=-\n")


def test_a_line_names_run_source_host_and_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = {"host": "example.org", "rate": "5/s"}
    with log_context(run="R"), log_context(source="web"):
        for form in (False, True):
            configure(tmp_path, as_json=form)
            logging.getLogger("derlem.fetch").warning("paused", extra=place)
    logging.getLogger("derlem.fetch").info("without a run")
    text, line, last = (tmp_path / "fetch.log").read_text().splitlines()
    assert text.endswith("Z WARNING derlem.fetch: paused run=R source=web host=example.org rate=5/s")
    assert json.loads(line) | {"time": ""} == {
        "time": "",
        "level": "WARNING",
        "logger": "derlem.fetch",
        "message": "paused",
        "run": "R",
        "source": "web",
        **place,
    }
    assert json.loads(last)["run"] is None
    first = capsys.readouterr().err.splitlines()[0]
    assert first == "WARNING derlem.fetch: paused (source web, host example.org, rate 5/s)"


@pytest.mark.parametrize("as_json", [False, True])
def test_a_message_stays_on_its_line_and_controls_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    configure(tmp_path, as_json=as_json)
    logging.getLogger("derlem.files").warning("a name: %s", "a\x1b[31m\nERROR forged")
    for shown in ((tmp_path / "files.log").read_text(), capsys.readouterr().err):
        assert "\x1b" not in shown and "\nERROR" not in shown
        assert "forged" in shown


def test_files_are_rotated_by_size_and_pruned_by_number_and_age(tmp_path: Path) -> None:
    configure(tmp_path)
    logger = logging.getLogger("derlem.build")
    for number in range(400):
        logger.info("%06d %s", number, "x" * 100)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["build.log", "build.log.1", "build.log.2"]
    assert all(path.stat().st_size <= LIMITS.max_bytes for path in tmp_path.iterdir())
    kept = [
        int(number)
        for name in reversed(names)
        for number in re.findall(r": (\d{6}) ", (tmp_path / name).read_text())
    ]
    assert kept == list(range(kept[0], 400)) and len(kept) > 150
    assert stat.S_IMODE((tmp_path / "build.log").stat().st_mode) == 0o600
    configure(tmp_path, retention=Retention(max_bytes=10_000, files=1, days=30))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["build.log", "build.log.1"]
    configure(tmp_path, retention=Retention(max_bytes=10_000, files=1, days=-1))
    assert [path.name for path in tmp_path.iterdir()] == ["build.log"]


MANY = """
import logging, sys
from pathlib import Path
from derlem.commands.logs import Retention, configure_logs
limits = Retention(max_bytes=50_000, files=50, days=30)
configure_logs(Path(sys.argv[1]), level="INFO", levels={}, as_json=False, verbose=False, retention=limits)
for number in range(1000):
    logging.getLogger("derlem.fetch").info("%s-%04d %s|", sys.argv[2], number, "y" * (number % 97))
"""


def test_processes_share_a_rotated_log_without_loss_or_mixed_lines(tmp_path: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", MANY, tmp_path, name]) for name in "abc"]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    lines = [line for path in tmp_path.iterdir() for line in path.read_text().splitlines()]
    found = [re.fullmatch(r"\S+Z INFO    derlem\.fetch: ([abc]-\d{4}) y*\| run=-", line) for line in lines]
    assert len(list(tmp_path.iterdir())) > 3
    assert sorted(match[1] for match in found if match) == [
        f"{name}-{number:04d}" for name in "abc" for number in range(1000)
    ]
    assert len(lines) == 3000


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def test_the_fetcher_in_a_worker_logs_an_incident_with_its_place(
    project: Callable[..., Any], tmp_path: Path
) -> None:
    urls = tmp_path / "urls.txt"
    port = closed_port()
    urls.write_text("".join(f"http://127.0.0.1:{port}/{number}\n" for number in range(8)))
    mine = project(
        [{"name": "web", "adapter": "urls", "path": str(urls), "license": "CC0-1.0"}],
        fetch={
            "allow_private": ["127.0.0.0/8"],
            "retries": 0,
            "respect": [],
            "breaker": {"failures": 2, "pause": 0.01, "pauses": 1},
        },
        ingest={"workers": 1},
    )
    mine.derlem("--log-format", "json", "run")
    [run] = mine.rows("SELECT run, state, error FROM runs")
    lines = [json.loads(line) for line in (mine.work / "logs" / "fetch.log").read_text().splitlines()]
    assert {line["run"] for line in lines} == {run["run"]}
    for line in lines:
        assert (line["source"], line["host"], line["rate"]) == ("web", "127.0.0.1", "5/s")
    assert any("127.0.0.1: paused for 0 s" in line["message"] for line in lines), lines
    assert any("left for another run: host_down" in line["message"] for line in lines), lines
    pipeline = (mine.work / "logs" / "pipeline.log").read_text().splitlines()
    assert {json.loads(line)["run"] for line in pipeline} == {run["run"]}


def test_the_error_of_a_command_is_in_the_log_also_without_a_run(project: Callable[..., Any]) -> None:
    mine = project([{"name": "s", "adapter": "files", "path": "images", "license": "MIT"}])
    images = mine.config.parent / "images"
    images.mkdir()
    (images / "a.png").touch()
    mine.derlem("run")
    (images / "a.png").unlink()
    images.rmdir()
    mine.derlem("discover", code=2)
    line = (mine.work / "logs" / "pipeline.log").read_text().splitlines()[-1]
    assert "ERROR   derlem.pipeline: ConfigError: " in line and "there is nothing at" in line
    assert re.search(r" run=\d{8}T\d{6}Z-[0-9a-f]{6}$", line)
