"""Commands avoid the unnecessary imports of DuckDB and pyarrow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from derlem.core.fork_server import PRELOAD

COMMANDS = """
import json
import sys
from derlem.cli import main

if __name__ == "__main__":  # workers import this file, too
    for command in json.loads(sys.argv[2]):
        main(["-c", sys.argv[1], *command], standalone_mode=False)
        if "pandas" in sys.modules:
            sys.exit(f"{command} imports pandas")
    import pandas
    import pyarrow

    print("frames:", len(pyarrow.table({"a": [1, 2, 3]}).to_pandas()))
"""


def test_commands_do_not_import_pandas(demo: Path, tmp_path: Path) -> None:
    """All commands run in one process: the check after each command also covers the earlier ones."""
    pytest.importorskip("pandas")
    config, program = tmp_path / "derlem.yaml", tmp_path / "program.py"
    source = {"name": "s", "adapter": "files", "path": str(demo / "clipart"), "license": "CC-PDDC"}
    sections = {"sample": {"name": "s", "seed": 3, "target": 4}, "corpus": {"format": "parquet"}}
    config.write_text(yaml.safe_dump({"workspace": "work", "sources": [source], **sections}))
    program.write_text(COMMANDS)
    commands = [
        *(["run"], ["discover"], ["ingest"], ["sample"], ["build"], ["audit"], ["status"], ["retry"]),
        *(["--dry-run", "sample"], ["sql", "FROM sources"]),
        ["withdraw", "--where", "ordinal = 0", "--purge"],
    ]
    done = subprocess.run(
        [sys.executable, program, config, json.dumps(commands)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "frames: 3", "other code can import pandas"


FILLING = """
import sys
from derlem.cli import main

if __name__ == "__main__":
    for command in (["discover"], ["ingest"]):
        main(["-c", sys.argv[1], *command], standalone_mode=False)
    heavy = "pyarrow.dataset", "pyarrow.compute", "rich"
    print("heavy:", [name for name in heavy if name in sys.modules])
"""


def test_discover_and_ingest_import_no_slow_modules(demo: Path, tmp_path: Path) -> None:
    """DuckDB imports pyarrow.dataset for its first Arrow table; rich is for terminals only."""
    config, program = tmp_path / "derlem.yaml", tmp_path / "program.py"
    source = {"name": "s", "adapter": "files", "path": str(demo / "clipart"), "license": "CC-PDDC"}
    config.write_text(yaml.safe_dump({"workspace": "work", "sources": [source]}))
    program.write_text(FILLING)
    done = subprocess.run(
        [sys.executable, program, config], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_workers_need_no_database() -> None:
    asked = "import sys, derlem.core.preload; print('duckdb' in sys.modules)"
    preload = ["derlem.pipeline.executors.fork_server", ["archive", "files", "urls"]]
    environment = {**os.environ, PRELOAD: json.dumps(preload)}
    done = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, timeout=120, env=environment
    )
    assert done.stdout == "False\n", done.stderr


QUERYING = """
import sys
from derlem.cli import main

for command in (["status"], ["sql", "FROM sources"]):
    main(["-c", sys.argv[1], *command], standalone_mode=False)
heavy = "PIL", "pypdfium2", "pyarrow", "numpy", "aiohttp", "sqlalchemy"
print("heavy:", [name for name in heavy if name in sys.modules])
"""


def test_queries_import_no_decoders_and_no_workers(tmp_path: Path) -> None:
    config = tmp_path / "derlem.yaml"
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"")
    source = {"name": "s", "adapter": "files", "path": "images", "license": "CC0-1.0"}
    config.write_text(yaml.safe_dump({"workspace": "work", "sources": [source]}))
    listed = [sys.executable, "-m", "derlem", "-c", str(config), "discover"]
    subprocess.run(listed, check=True, capture_output=True, timeout=120)
    asked = [sys.executable, "-c", QUERYING, str(config)]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "heavy: []"
