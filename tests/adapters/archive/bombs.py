"""Makes bombs in a folder and reads it as a source with 48 MiB of memory free; prints the outcomes."""

from __future__ import annotations

import bz2
import gzip
import lzma
import resource
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import zstandard

from derlem.adapters.archive.adapter import ArchiveAdapter, ArchiveOptions
from derlem.adapters.base import Context
from derlem.core.workspace import Workspace

folder = Path(sys.argv[1])
MIB = 2**20
PNG = b"\x89PNG"


def head(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


good = head("good.png", 4) + PNG + bytes(508)
bomb = good + head("bomb.png", 96 * MIB)
packers: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.compress,
}
for name, packer in packers.items():
    zeros = packer(bytes(16 * MIB))
    (folder / f"bomb.tar.{name}").write_bytes(packer(bomb) + zeros * 6)
    (folder / f"late.tar.{name}").write_bytes(packer(good + head("lie.png", 2**40)) + packer(bytes(MIB)))
(folder / "pax.tar").write_bytes(good + head("x", 2**33))
kernel = zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED)
with kernel:
    kernel.writestr("good.png", PNG)
    with kernel.open("bomb.png", "w") as member:
        for _ in range(96):
            member.write(bytes(MIB))
raw = bytearray((folder / "bomb.zip").read_bytes())
at = raw.rindex(b"PK\1\2")
for lie, name in ((100, "small"), (2**31, "large")):
    raw[at + 24 : at + 28] = lie.to_bytes(4, "little")
    (folder / f"{name}.zip").write_bytes(raw)

adapter = ArchiveAdapter(Context(Workspace(folder / "work")))
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 48 * MIB, used + 48 * MIB))
for ratio in (200, 10**9):
    options = {"name": "s", "adapter": "archive", "license": "x", "path": str(folder)}
    limits = {"ratio": ratio, "member_bytes": 8 * MIB}
    source = ArchiveOptions.model_validate({**options, "limits": limits})
    items = [item for batch in adapter.discover(source) for item in batch]
    for item in items:
        if item.reason:
            print(ratio, item.uri, item.locator or "-", item.reason)
    names = {item.item_id: item for item in items}
    for item_id, outcome in adapter.read(source, [item for item in items if not item.reason]):
        item = names[item_id]
        print(ratio, item.uri, item.locator, getattr(outcome, "reason", "ok"))
