"""A workspace with everything a page shows, a running server, and a browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import derlem

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

HOSTILE = '<script>document.title = "run"</script><img src=x onerror=alert(1)> \u202egnp.exe \x1b[31mred'
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCREENS = Path(__file__).resolve().parents[2] / "build" / "screens"


@pytest.fixture(scope="session")
def browsed(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> derlem.Project:
    """200 images in categories, one rejected, one with hostile texts, conversations, and two manifests."""
    folder = tmp_path_factory.mktemp("browsed")
    shutil.copytree(demo / "clipart", folder / "images" / "clipart")
    images = sorted((folder / "images").rglob("*.png"))
    evil = folder / "images" / "hostile" / "<b>name.png"
    evil.parent.mkdir()
    shutil.copy(images[0], evil)
    evil.with_suffix(".txt").write_text(HOSTILE + " long" * 200_000, "utf-8")
    (folder / "images" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnot an image <script>")
    talk = [
        {"role": "user", "content": "<image> What is <b>this</b>?"},
        {"role": "assistant", "content": "Clip art."},
    ]
    for number, image in enumerate(images[:3]):
        target = folder / "talks" / f"{number}.png"
        target.parent.mkdir(exist_ok=True)
        shutil.copy(image, target)
        target.with_suffix(".json").write_text(json.dumps({"caption": "A talk", "conversations": talk}))
    path = folder / "derlem.yaml"
    files = {"adapter": "files", "license": "CC-PDDC", "homepage": "https://openclipart.org"}
    path.write_text(
        json.dumps(
            {
                "sources": [
                    files
                    | {
                        "name": "images",
                        "path": "images",
                        "category": "{dir}",
                        "caption": {"sidecar": ".txt"},
                    },
                    files
                    | {
                        "name": "talks",
                        "path": "talks",
                        "category": "talks",
                        "caption": {"sidecar": ".json"},
                    },
                ],
                "sample": {"name": "first", "seed": 1, "target": 20},
            }
        )
    )
    project = derlem.open(path)
    assert project.run().ok
    derlem.open(path, overrides=["sample.name=second", "sample.seed=2"]).sample()
    return project


@dataclass
class Served:
    """A running server: its address, its project, and its process."""

    address: str
    project: derlem.Project
    process: subprocess.Popen[str]


def configuration(project: derlem.Project) -> Path:
    return project.workspace.root.parent / "derlem.yaml"


def start(project: derlem.Project, *options: str) -> Served:
    command = [
        sys.executable,
        "-m",
        "derlem",
        "-c",
        str(configuration(project)),
        "browse",
        "--port",
        "0",
        *options,
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    found = re.fullmatch(r"(http://\S+)\n", line)
    assert found, line + process.stderr.read()
    return Served(found[1].rstrip("/"), project, process)


def stop(served: Served) -> int:
    served.process.terminate()
    code = served.process.wait(20)
    assert served.process.stderr is not None
    with served.process.stderr:
        print(served.process.stderr.read())  # pytest shows it beside a failure
    return code


@pytest.fixture(scope="session")
def served(browsed: derlem.Project) -> Iterator[Served]:
    """`derlem browse` over the workspace `browsed`, which tests do not change."""
    running = start(browsed)
    yield running
    assert stop(running) == 0


@dataclass
class Visit:
    """A browser window that records messages of the console, errors, and requests to other servers."""

    context: BrowserContext
    address: str
    problems: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.context.on("console", lambda message: self.problems.append(f"{message.type}: {message.text}"))
        self.context.on("weberror", lambda error: self.problems.append(f"error: {error.error}"))
        self.context.on("response", lambda answer: self._response(answer.status, answer.url))
        self.context.on("request", lambda request: self._request(request.url))

    def _response(self, status: int, url: str) -> None:
        if status >= 500:
            self.problems.append(f"{status}: {url}")

    def _request(self, url: str) -> None:
        if not url.startswith(self.address):
            self.problems.append(f"request: {url}")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, which `configs/system_packages.sh tests` installs."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium is installed: sh configs/system_packages.sh tests")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser, served: Served) -> Iterator[Visit]:
    """A window on the server; at the end nothing may have gone wrong in the browser."""
    context = chromium.new_context(viewport={"width": 1360, "height": 850})
    context.set_default_timeout(15_000)
    visit = Visit(context, served.address)
    visit.watch()
    yield visit
    context.close()
    assert not visit.problems
