"""Temporary folders end with their object or, after a kill, with the next run."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from derlem.core.temporary import MINIMUM_AGE, TemporaryFolder, remove_abandoned

KILLED = """
import os, signal
from derlem.core.temporary import TemporaryFolder
folder = TemporaryFolder("pages")
(folder.path / "page").touch()
print(folder.path, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def age(path: Path) -> None:
    then = path.stat().st_mtime - MINIMUM_AGE
    os.utime(path, (then, then))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_ends_with_its_object(temporary: Path) -> None:
    with TemporaryFolder("audit") as folder:
        (folder.path / "file").touch()
        assert list(temporary.iterdir()) == [folder.path]
    folder.cleanup()
    forgotten = TemporaryFolder("audit")
    del forgotten
    assert not list(temporary.iterdir())


def test_only_folders_of_ended_processes_are_removed(temporary: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True)
    left = Path(killed.stdout.strip())
    assert (left / "page").exists()
    assert not remove_abandoned(), "too young: its process may not have locked the folder yet"
    other = temporary / "derlem-pages"
    other.mkdir()
    (temporary / "derlem-pages-link").symlink_to(other)
    (temporary / "derlem-audit-file").touch()
    with TemporaryFolder("thumbnails") as used:
        for path in (left, other, used.path):
            age(path)
        assert remove_abandoned() == 1
        assert used.path.exists() and other.exists() and not left.exists()
