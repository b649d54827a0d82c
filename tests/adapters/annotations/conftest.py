"""Fixtures for annotation files: images in a folder, a zip and a tar, and a source over them."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from derlem.adapters.annotations.adapter import AnnotationsAdapter, AnnotationsOptions
from derlem.adapters.base import Context
from derlem.catalog.models import Failure, Item, Payload
from derlem.core.workspace import Workspace

PLACES = ("folder", "photos.zip", "more.tar")


def photo(name: str) -> bytes:
    """A JPEG image, another one for each name."""
    out = io.BytesIO()
    image = Image.new("RGB", (8, 8), (len(name), 99, 10))
    image.putdata([(ord(letter) % 256, 0, index) for index, letter in enumerate(name.ljust(64))])
    image.save(out, "JPEG", quality=95)
    return out.getvalue()


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """A folder with a.jpg to c.jpg in `folder/deep`, d.jpg and e.jpg in a zip, f.jpg in a tar."""
    deep = tmp_path / "folder" / "deep"
    deep.mkdir(parents=True)
    for name in "abc":
        (deep / f"{name}.jpg").write_bytes(photo(name))
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for name in "de":
            archive.writestr(f"deep/{name}.jpg", photo(name))
    with tarfile.open(tmp_path / "more.tar", "w") as tar:
        info = tarfile.TarInfo("deep/f.jpg")
        info.size = len(photo("f"))
        tar.addfile(info, io.BytesIO(photo("f")))
    return tmp_path


class Used:
    """A source: its items, and what reading them gives, with locator states as the catalog returns them."""

    def __init__(self, root: Path, options: dict[str, Any]) -> None:
        self.source = AnnotationsOptions.model_validate(
            {"name": "s", "adapter": "annotations", "license": "CC0-1.0"} | options
        )
        self.adapter = AnnotationsAdapter(Context(Workspace(root / "work")))

    def items(self) -> list[Item]:
        return [item for batch in self.adapter.discover(self.source) for item in batch]

    def read(self, items: list[Item]) -> dict[str, Payload | Failure]:
        def stored() -> Iterator[Item]:
            for item in items:
                item.locator_state = json.loads(json.dumps(item.locator_state))
                yield item

        return dict(self.adapter.read(self.source, stored()))

    def images(self) -> dict[str, list[bytes]]:
        """The images of every item without a reason, by locator."""
        items = [item for item in self.items() if item.reason is None]
        results = self.read(items)
        found = {}
        for item in items:
            payload = results[item.item_id]
            assert isinstance(payload, Payload), payload
            assert item.images == 1 + len(payload.more)
            found[item.locator] = [payload.data, *payload.more]
        return found


@pytest.fixture
def use(places: Path) -> Callable[..., Used]:
    """`use(content, name="a.json", **options)`: a source over one annotation file and all places."""

    def make(content: object, name: str = "a.json", **options: Any) -> Used:
        path = places / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        looked_up = [str(places / place) for place in PLACES]
        return Used(places, {"path": str(path), "images": looked_up} | options)

    return make
