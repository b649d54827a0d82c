"""A program that imports derlem stays as it was: nothing is printed, and nothing in its process changes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import derlem

STATE = """
def state():
    import gc, logging, os, signal, sys, warnings
    loggers = {
        name: (logger.level, [type(handler).__name__ for handler in logger.handlers], logger.propagate)
        for name, logger in [("root", logging.root), *logging.root.manager.loggerDict.items()]
        if isinstance(logger, logging.Logger)
        and (logger.level or logger.handlers or not logger.propagate)
        and not name.startswith("derlem")
    }
    return {
        "filters": list(warnings.filters),
        "meta_path": list(sys.meta_path),
        "path_hooks": list(sys.path_hooks),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "loggers": loggers,
        "gc": (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()),
        "environ": dict(os.environ),
        "cwd": os.getcwd(),
        "excepthook": sys.excepthook,
    }

"""

IMPORTED = """
before = state()
import derlem
assert state() == before
for name in derlem.__all__:
    getattr(derlem, name)
after = state()
changed = {key for key in before if before[key] != after[key]}
print("changed:", sorted(changed))
"""

USED = """
import duckdb, numpy, PIL.Image, pyarrow  # third-party imports may register what they like
try:
    import pandas  # pyarrow imports it where it is installed
except ImportError:
    pass
import derlem
derlem.Project
before = state()
project = derlem.Project(
    {
        "sources": [{"name": "s", "adapter": "files", "path": sys.argv[1], "license": "MIT"}],
        "sample": {"name": "s", "target": 3},
    }
)
assert project.run().ok
assert project.run().ok
project.sql("FROM composition")
next(project.items(status="ready")).image()
project.withdraw(where="ordinal = 0", purge=True)
project.catalog.compact()
after = state()
changed = {key for key in before if before[key] != after[key]}
print("changed:", sorted(changed), {key: (before[key], after[key]) for key in changed})
"""


def program(tmp_path: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script of its own, without a guard for `__main__`."""
    script = tmp_path / "program.py"
    script.write_text("import sys\n" + textwrap.dedent(STATE + text))
    return subprocess.run(
        [sys.executable, script, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        env={name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"},
    )


def test_importing_changes_nothing(tmp_path: Path) -> None:
    done = program(tmp_path, IMPORTED)
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("changed: []\n", "")


def test_a_run_changes_and_prints_nothing(images: Path, tmp_path: Path) -> None:
    done = program(tmp_path, USED, str(images))
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("changed: [] {}\n", "")


def test_every_public_name_is_there_and_none_is_loaded_early() -> None:
    assert set(derlem.__all__) <= set(dir(derlem))
    assert all(getattr(derlem, name) is not None for name in derlem.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        derlem.nothing  # noqa: B018 - the access is the test
    code = "import sys; before = set(sys.modules); import derlem; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['derlem']\n"


def test_an_adapter_imports_everything_from_derlem(images: Path, tmp_path: Path) -> None:
    text = """
    from derlem import Adapter, Context, Failure, Item, Payload, Reason, SourceOptions
    from pathlib import Path

    class Options(SourceOptions):
        folder: str

    class Mine(Adapter[Options]):
        Options = Options

        def discover(self, source):
            yield [Item(source=source.name, uri=path.name) for path in Path(source.folder).rglob("*.png")]

        def read(self, source, items):
            for item in items:
                yield item.item_id, Failure(Reason.TIMEOUT, "too slow")

    import derlem
    from derlem.core.workspace import Workspace

    source = Options(name="mine", adapter="mine", license="MIT", folder=sys.argv[1])
    adapter = Mine(Context(Workspace(Path("work"))))
    [items] = adapter.discover(source)
    assert items and all(isinstance(failure, Failure) for _, failure in adapter.read(source, items))
    """
    script = tmp_path / "adapter.py"
    script.write_text("import sys\n" + textwrap.dedent(text))
    done = subprocess.run([sys.executable, script, str(images)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
