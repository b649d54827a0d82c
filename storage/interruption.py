"""Notices by which EC2 announces the end of an instance, from its metadata service (IMDSv2)."""

from __future__ import annotations

import logging
import os
import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Callable

log = logging.getLogger("derlem.sync")

ADDRESS = "http://169.254.169.254"
ADDRESS_VARIABLE = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
"""The environment variable by which AWS's libraries, too, take another address."""
POLL_SECONDS = 5.0
TOKEN_SECONDS = 21600
NOTICES = ("spot/instance-action", "events/recommendations/rebalance")


def read_notice(address: str, token: str) -> str | None:
    """Return the text of a notice; None without one. Raises OSError."""
    for path in NOTICES:
        request = urllib.request.Request(
            f"{address}/latest/meta-data/{path}", headers={"X-aws-ec2-metadata-token": token}
        )
        try:
            with urllib.request.urlopen(request, timeout=2) as answer:
                return f"{path}: {answer.read(1000).decode(errors='replace').strip()}"
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != 404:
                raise
    return None


def read_token(address: str) -> str:
    """Return a token of the metadata service. Raises OSError."""
    headers = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)}
    request = urllib.request.Request(f"{address}/latest/api/token", method="PUT", headers=headers)
    with urllib.request.urlopen(request, timeout=2) as answer:
        token: str = answer.read(1000).decode()
    return token


def interrupt_this_process() -> None:
    """End the command as Ctrl-C does."""
    os.kill(os.getpid(), signal.SIGINT)


class InterruptionWatch:
    """A thread that asks for notices, and at the first one calls `act` once."""

    def __init__(self, act: Callable[[], None] = interrupt_this_process, poll: float = POLL_SECONDS) -> None:
        self._act, self._poll = act, poll
        self._address = os.environ.get(ADDRESS_VARIABLE, ADDRESS).rstrip("/")
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="interruption", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; does not wait for its request."""
        self._end.set()

    def _watch(self) -> None:
        token = ""
        failures = 0
        while not self._end.is_set():
            try:
                token = token or read_token(self._address)
                notice = read_notice(self._address, token)
                failures = 0
            except OSError as error:  # an expired token, too
                token, notice = "", None
                failures += 1
                if failures == 1:
                    log.warning("no answer of the instance's metadata service: %s", error)
            if notice is not None and not self._end.is_set():
                log.warning("the instance is announced to stop, the command ends: %s", notice)
                self._act()
                return
            self._end.wait(self._poll)
