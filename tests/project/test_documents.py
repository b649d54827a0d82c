"""The notebook and the README's Python example run as they stand."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

import derlem

ROOT = Path(__file__).resolve().parents[2]


def test_the_notebook() -> None:
    notebook = nbformat.read(ROOT / "docs" / "tour.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    assert not any(cell.get("outputs") for cell in notebook.cells), "store the notebook without outputs"
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(ROOT / "docs")}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    images = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(images) == 1
    results = [
        output["data"]["text/plain"] for output in outputs if output["output_type"] == "execute_result"
    ]
    assert "(True, False, 0)" in results  # the last run had nothing to do


def test_the_readmes_example(demo: Path, tmp_path: Path) -> None:
    """As in the README: a folder `photos`, and the configuration that it shows."""
    text = (ROOT / "README.md").read_text("utf-8")
    shutil.copytree(demo / "clipart", tmp_path / "photos")
    [configuration] = re.findall(r"^```yaml\n(workspace:.*?)^```", text, re.DOTALL | re.MULTILINE)
    (tmp_path / "derlem.yaml").write_text(configuration)
    [example] = re.findall(r"^```python\n(import derlem\n.*?)^```", text, re.DOTALL | re.MULTILINE)
    (tmp_path / "example.py").write_text(example)
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout and not done.stderr
    assert derlem.open(tmp_path / "derlem.yaml").audit().failed is False
