"""Progress on a terminal and in `status`: a bar per source, rate, remaining time, rejected items."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from derlem.commands.bars import SOURCES, Bars
from derlem.core.progress import REJECTIONS, Meter, Silent, SourceSteps
from derlem.core.workspace import Workspace
from derlem.pipeline.lock import instance_lock
from derlem.pipeline.state import RunState, StateFile

HOSTILE = "web: http://x/\x1b[31m\u202egnp.exe [bold]: corrupt"


def drawn(bars: Bars) -> str:
    console = Console(file=io.StringIO(), width=160, color_system=None)
    console.print(*bars.get_renderables())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_bars() -> None:
    bars = Bars("ingest", 30)
    bars.show(12, 30, "ready 12")
    bars.show_sources({"web": SourceSteps(2, 20, 0.5), "files": SourceSteps(10, 10, 5.0)}, [HOSTILE])
    text = drawn(bars)
    assert "12/30" in text and "2/20" in text and "0.5/s, about 0:00:36 left" in text and "10/10" in text
    assert "rejected web: http://x/\\x1b[31m\\u202egnp.exe [bold]: corrupt" in text
    many = {f"s{number:02}": SourceSteps(number % 2, 1) for number in range(3 * SOURCES)}
    bars.show_sources(many, [])
    text = drawn(bars)
    assert text.count("0/1") == SOURCES and "files" not in text and "rejected" not in text


def test_a_single_source_has_the_bar_of_its_stage() -> None:
    bars = Bars("ingest", 3)
    bars.show_sources({"files": SourceSteps(1, 3)}, [])
    assert "files" not in drawn(bars)


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.integers(0, 9), st.integers(0, 4))),
    st.integers(1, 20),
)
def test_steps_of_sources_add_up(reports: list[tuple[str, int, int, int]], expected: int) -> None:
    class Last(Silent):
        sources: dict[str, SourceSteps]
        rejections: list[str]

        def detail(self, stage: str, sources: Any, rejections: Any) -> None:
            self.sources, self.rejections = dict(sources), list(rejections)

    last = Last()
    rejected: list[str] = []
    meter = Meter("ingest", None, last, {"a": expected, "b": 0})
    for source, steps, more, count in reports:
        lines = [f"{source}: {len(rejected) + number}" for number in range(count)]
        rejected += lines
        meter.advance_source(source, steps, more, lines)
        assert last.rejections == rejected[-REJECTIONS:]
        for name, found in last.sources.items():
            own = [report for report in reports if report[0] == name]
            assert 0 <= found.done <= found.total and found.rate >= 0
            assert found.done <= sum(report[1] for report in own)
    for name in {report[0] for report in reports}:
        assert last.sources[name].done == sum(steps for source, steps, _, _ in reports if source == name)


def test_status_shows_the_same(project: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "one.png").write_bytes(b"listed, and never read")
    source = {"name": "web", "adapter": "files", "path": str(tmp_path / "images"), "license": "CC0-1.0"}
    made = project([source])
    made.derlem("discover")
    workspace = Workspace(made.work)
    with instance_lock(workspace, "derlem run"):
        state = StateFile(workspace, RunState("20260101T000000Z-abcdef", "derlem run", ""))
        state.enter("ingest")
        state.detail({"web": SourceSteps(5, 20, 0.5), "files": SourceSteps(10, 10, 5.0)}, [HOSTILE])
        state.write()
        shown = made.derlem("status").stderr
        assert "web   [#######.......................] 5/20 0.5/s, about 0:00:30 left\n" in shown
        assert f"files [{30 * '#'}] 10/10\n" in shown
        assert "rejected web: http://x/\\x1b[31m\\u202egnp.exe [bold]: corrupt\n" in shown
        run = json.loads(made.derlem("status", "--format", "json").stdout)["run"]
        assert run["sources"]["web"] == {"done": 5, "total": 20, "rate": 0.5}
        state.finish("done")
    assert "#" not in made.derlem("status").stderr


def test_a_plain_line_is_about_the_stage(capsys: pytest.CaptureFixture[str]) -> None:
    from derlem.commands.progress import TerminalProgress

    progress = TerminalProgress()
    progress.begin("ingest", 3)
    progress.advance("ingest", 2, 3, {"ready": 2})
    progress.detail("ingest", {"web": SourceSteps(2, 3)}, [HOSTILE])
    progress.end("ingest")
    assert capsys.readouterr().err.startswith("ingest: 2/3, ")
