"""`derlem sql`: sources of statements, destinations of rows, restrictions of every statement, the prompt."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from derlem.catalog.connection import write_catalog
from derlem.cli import main
from derlem.commands.shell import completions
from derlem.core.workspace import Workspace
from tests.factories.catalog import insert_items, insert_source, item_row

from .conftest import Project

MakeProject = Callable[..., Project]
SOURCE = {"name": "s", "adapter": "files", "path": ".", "license": "CC0-1.0"}


@pytest.fixture
def asked(project: MakeProject) -> Project:
    """A project whose catalog has three items, one with a hostile caption."""
    mine = project([SOURCE])
    with write_catalog(Workspace(mine.work)) as connection:
        insert_source(connection, "s")
        texts = ["a,b", '<script>alert("1")</script>\x1b[31m\u202e', None]
        rows = [item_row(uri=f"{n}", ordinal=n, caption=text) for n, text in enumerate(texts)]
        insert_items(connection, rows)
    return mine


def test_a_statement_comes_from_the_argument_a_file_or_stdin(asked: Project, tmp_path: Path) -> None:
    text = "SELECT count(*) AS n FROM items"
    file = tmp_path / "query.sql"
    file.write_text(text)
    assert asked.rows(text) == [{"n": 3}]
    assert "3" in asked.derlem("sql", "--file", str(file)).stdout
    result = CliRunner().invoke(main, ["-c", str(asked.config), "sql", "-", "--format", "csv"], input=text)
    assert result.stdout == "n\n3\n"
    for wrong in ([], [text, "--file", str(file)], ["--shell", text], [text, "--format", "parquet"]):
        assert "Error" in asked.derlem("sql", *wrong, code=2).stderr


def test_output_is_a_whole_file_of_the_format_of_its_name(asked: Project, tmp_path: Path) -> None:
    text = "SELECT uri, caption FROM items ORDER BY ordinal"
    for name in ("rows.json", "rows.csv", "rows.parquet", "rows.txt"):
        result = asked.derlem("sql", text, "--output", str(tmp_path / name))
        assert result.stdout == "" and "3 rows" in result.stderr
    assert json.loads((tmp_path / "rows.json").read_text("utf-8"))[2] == {"uri": "2", "caption": None}
    assert (tmp_path / "rows.csv").read_text("utf-8").startswith('uri,caption\n0,"a,b"\n1,')
    assert pq.read_table(tmp_path / "rows.parquet").column("uri").to_pylist() == ["0", "1", "2"]
    assert "\x1b" not in (tmp_path / "rows.txt").read_text("utf-8")
    before = (tmp_path / "rows.parquet").read_bytes()
    asked.derlem("sql", "SELEC", "--output", str(tmp_path / "rows.parquet"), code=2)
    assert (tmp_path / "rows.parquet").read_bytes() == before
    asked.derlem("--dry-run", "sql", text, "--output", str(tmp_path / "none.csv"))
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "rows.csv", "rows.json", "rows.parquet", "rows.txt",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_text('https://example.org/')",
        "SELECT * FROM glob('/*')",
        "COPY items TO 'copy.csv'",
        "EXPORT DATABASE 'copy'",
        "ATTACH 'other.duckdb'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "DELETE FROM items",
        "CREATE TABLE t (x INTEGER)",
        "SELECT 1; SELECT 2",
    ],
)
def test_statements_read_the_catalog_only(asked: Project, text: str, tmp_path: Path) -> None:
    result = asked.derlem("sql", text, code=2)
    assert result.stderr.startswith("Error: ") and "root:" not in result.stdout
    output = tmp_path / "out.parquet"
    asked.derlem("sql", text, "--output", str(output), code=2)
    assert not output.exists()


def test_the_prompt_runs_statements_over_lines_and_goes_on_after_errors(
    asked: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "SELECT count(*) AS number\nFROM items;\nSELEC;\n.quit\nSELECT 'never';\n"
    result = CliRunner().invoke(main, ["-c", str(asked.config), "sql", "--shell"], input=lines)
    assert result.exit_code == 0 and "never" not in result.stdout
    assert "number" in result.stdout and "3" in result.stdout and "Parser Error" in result.stderr
    rest = CliRunner().invoke(main, ["-c", str(asked.config), "sql", "--shell"], input="SELECT 7 AS x")
    assert "7" in rest.stdout


def test_completion_knows_tables_columns_and_keywords() -> None:
    assert completions(["items", "item_id"], "ITE") == ["items", "item_id"]
    assert completions(["items"], "sel") == ["SELECT"] and completions(["items"], "") == []


def test_on_a_terminal_tab_completes_and_the_history_is_kept(asked: Project) -> None:
    """A pseudo-terminal: a Tab completes the name of a view, and the line is kept in the history."""
    code = (
        "import sys; from importlib import util; from derlem.commands import shell; "
        "shell.find_spec = lambda name: None; from derlem.cli import main; main(sys.argv[1:])"
    )
    master, slave = pty.openpty()
    command = [sys.executable, "-c", code, "-c", str(asked.config), "sql", "--shell"]
    environment = {**os.environ, "TERM": "dumb", "INPUTRC": os.devnull}
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    shown = io.BytesIO()

    def read_until(text: bytes) -> None:
        while text not in shown.getvalue():
            assert select.select([master], [], [], 60)[0], shown.getvalue()
            shown.write(os.read(master, 65536))

    try:
        read_until(b"derlem> ")
        os.write(master, b"SELECT count(*) AS found FROM manifest_it\t;\n")
        read_until(b"rows in")
        os.write(master, b".quit\n")
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)
    assert b"manifest_items" in shown.getvalue() and b"found" in shown.getvalue()
    assert "manifest_items" in (asked.work / "state" / "sql_history").read_text("utf-8")


def test_an_open_prompt_does_not_hold_the_catalog(asked: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the prompt waits for its next line, a run may commit."""
    lines = iter(["SELECT count(*) FROM items;"])

    def answer(prompt: str = "") -> str:
        with write_catalog(Workspace(asked.work), wait=0.0) as connection:
            insert_items(connection, [item_row(uri="new")])
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", answer)
    assert "4" in asked.derlem("sql", "--shell").stdout


def test_harlequin_runs_the_same_restricted_statements(asked: Project) -> None:
    """Skipped where harlequin is missing: its pinned click differs from the one that is locked here."""
    harlequin = pytest.importorskip("harlequin", reason="harlequin is not installed")
    import derlem
    from derlem.commands.harlequin_adapter import CatalogAdapter, application

    opened = derlem.open(asked.config)
    assert isinstance(application(opened), harlequin.Harlequin)
    connection = CatalogAdapter((), project=opened).connect()
    cursor: Any = connection.execute("SELECT uri FROM items ORDER BY ordinal")
    assert cursor.columns() == [("uri", "string")] and cursor.set_limit(2).fetchall().num_rows == 2
    assert {"items", "funnel"} <= {item.label for item in connection.get_catalog().items}
    with pytest.raises(Exception, match="Permission Error"):
        connection.execute("SELECT * FROM read_csv('/etc/passwd')")


def test_an_empty_statement_is_one_error(project: Callable[..., Any], demo: Path) -> None:
    mine = project([{"name": "s", "adapter": "files", "path": str(demo / "clipart"), "license": "CC0-1.0"}])
    mine.derlem("discover")
    for statement in ("", " ", "-- nothing", ";"):
        error = mine.derlem("sql", "--", statement, code=2).stderr
        assert error.startswith("Error: ") and len(error.splitlines()) == 1
