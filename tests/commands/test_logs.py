"""A log that cannot be written stops with a warning, and the command continues."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from derlem.commands.logs import configure_logs


@pytest.mark.parametrize(
    ("target", "why"), [("/dev/full", "No space left on device"), ("/dev", "Is a directory")]
)
def test_a_log_that_cannot_be_written_gives_one_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], target: str, why: str
) -> None:
    (tmp_path / "fetch.log").symlink_to(target)
    configure_logs(tmp_path, level="INFO", levels={}, as_json=False, verbose=False)
    try:
        for _ in range(3):
            logging.getLogger("derlem.fetch").info("this is lost")
        logging.getLogger("derlem.fetch").warning("this is seen")
        logging.getLogger("derlem.pipeline").info("this is kept")
    finally:
        configure_logs(None, level="WARNING", levels={}, as_json=False, verbose=False)
    assert capsys.readouterr().err.splitlines() == [
        f"WARNING {tmp_path / 'fetch.log'}: logging stopped: {why}",
        "WARNING derlem.fetch: this is seen",
    ]
    assert (tmp_path / "pipeline.log").read_text().endswith("this is kept\n")
