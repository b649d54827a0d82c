"""Provides a workspace, and a plug-in of another package: an adapter with faults on request."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from derlem.adapters.registry import adapter_class
from derlem.core.workspace import Workspace

FAULTY = '''
"""An adapter whose items perform the action in their uri; decoding faults are injected into this process."""
import io, os, signal, time
from PIL import Image
from derlem.adapters.base import Adapter, SourceOptions, Partitioning
from derlem.catalog.models import Failure, Item, Payload
from derlem.catalog.status import Reason
from derlem.media import convert

class Options(SourceOptions):
    acts: list[str]

def image(n):
    out = io.BytesIO()
    Image.new("RGB", (16, 16), (n % 256, n // 256 % 256, 7)).save(out, "PNG")
    return out.getvalue()

def once(mark):
    """Whether this is the first call with the mark, in any process."""
    try:
        open(__file__ + mark, "x").close()
    except FileExistsError:
        return False
    return True

def act(name):
    if name == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "killed_once" and once(".killed"):
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "hang":
        time.sleep(3600)
    if name == "slow":
        with open(__file__ + ".slow", "a") as file:
            file.write(".")
        time.sleep(0.1)
    if name == "exhaust":
        bytearray(1 << 44)
    if name == "raise":
        raise RuntimeError("a bug in an adapter")
    if name == "end" and once(".ended"):  # as a signal that is unrelated to the item
        os.kill(os.getpid(), signal.SIGTERM)

inner = convert.normalize
def normalize(data, options):
    if data.startswith(b"DECODE "):
        act(data[7:].decode())
    return inner(data, options)
convert.normalize = normalize

class FaultyAdapter(Adapter[Options]):
    Options = Options
    def discover(self, source):
        if "list_interrupted" in source.acts:  # a signal that arrives inside exec(), as of a namedtuple
            exec("import signal\\nsignal.raise_signal(signal.SIGHUP)\\nfor _ in range(9): pass")
        yield [Item(source=source.name, uri=f"{n}-{act}") for n, act in enumerate(source.acts)]
    def read(self, source, items):
        for item in items:
            n, _, name = item.uri.partition("-")
            if name.startswith("read_"):
                act(name[5:])
            if name.startswith("decode_"):
                yield item.item_id, Payload(b"DECODE " + name[7:].encode())
            elif name == "fail":
                yield item.item_id, Failure(Reason.TIMEOUT, "too slow", {"evidence": 1})
            elif name == "drop":
                pass
            else:
                yield item.item_id, Payload(image(int(n)), {"caption": "\\ne\\u0301\\r\\n"}, {"seen": n})
'''


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "work")


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of the faulty adapter, which is installed through an entry point."""
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "derlem_faulty.py").write_text(FAULTY)
    metadata = folder / "derlem_faulty-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: derlem-faulty\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[derlem.adapters]\nfaulty = derlem_faulty:FaultyAdapter\n")
    sys.path.insert(0, str(folder))
    sys.modules.pop("derlem_faulty", None)  # from the folder of another module's tests,
    adapter_class.cache_clear()  # as is its class
    yield "faulty"
    sys.path.remove(str(folder))
