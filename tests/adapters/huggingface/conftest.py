"""Fixtures for datasets: real images in every layout; the adapter in this process and in another."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import io
import json
import os
import random
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from derlem.adapters.base import Context
from derlem.adapters.huggingface.adapter import HuggingfaceAdapter
from derlem.adapters.huggingface.dataset_options import HuggingfaceOptions
from derlem.catalog.models import Failure, Item, Payload
from derlem.core.workspace import Workspace

# `datasets` reads this variable at import; its lock files must be created only here.
_HOME = tempfile.TemporaryDirectory(prefix="hf-home-")
os.environ.setdefault("HF_HOME", _HOME.name)

HERE = Path(__file__).parent
ROWS = 40


@dataclasses.dataclass(frozen=True)
class Image:
    """A real image with its texts."""

    name: str
    data: bytes
    label: str
    caption: str


@dataclasses.dataclass(frozen=True)
class Example:
    """A row: its image, additional images, and a conversation about all images."""

    image: Image
    extra: list[Image]

    @property
    def turns(self) -> list[dict[str, str]]:
        question = "<image>" * (1 + len(self.extra)) + "\nWhat is this?"
        return [{"from": "human", "value": question}, {"from": "gpt", "value": self.image.caption}]


@pytest.fixture(scope="session")
def images(clipart: Path) -> list[Image]:
    paths = sorted(clipart.rglob("*.png"))
    random.Random(3).shuffle(paths)
    return [
        Image(
            path.name,
            path.read_bytes(),
            path.relative_to(clipart).parts[0],
            " ".join(path.stem.replace("_", " ").split()),
        )
        for path in paths[: 3 * ROWS]
    ]


@pytest.fixture(scope="session")
def examples(images: list[Image]) -> list[Example]:
    """Rows with zero, one or two additional images."""
    more = iter(images[ROWS:])
    return [Example(image, [next(more) for _ in range(at % 3)]) for at, image in enumerate(images[:ROWS])]


@pytest.fixture(scope="session")
def dataset(examples: list[Example]) -> Any:
    """The rows as a `datasets.Dataset` with every kind of column that the adapter supports."""
    import datasets

    names = sorted({example.image.label for example in examples})
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=names),
            "caption": datasets.Value("string"),
            "conversations": datasets.List(
                {"from": datasets.Value("string"), "value": datasets.Value("string")}
            ),
            "extra": datasets.List(datasets.Image()),
            "tongue": datasets.Value("string"),
            "number": datasets.Value("int32"),
        }
    )
    rows = [
        {
            "image": _cell(example.image),
            "label": example.image.label,
            "caption": example.image.caption,
            "conversations": example.turns,
            "extra": [_cell(image) for image in example.extra],
            "tongue": "en",
            "number": number,
        }
        for number, example in enumerate(examples)
    ]
    columns = {name: [row[name] for row in rows] for name in features}
    return datasets.Dataset.from_dict(columns, features=features)


def _cell(image: Image) -> dict[str, Any]:
    return {"bytes": image.data, "path": image.name}


@pytest.fixture(scope="session")
def shapes(
    tmp_path_factory: pytest.TempPathFactory, dataset: Any, examples: list[Example]
) -> dict[str, Path]:
    """The same dataset in every format: a folder for each."""
    root = tmp_path_factory.mktemp("shapes")
    folders = {name: root / name for name in ("parquet", "arrow", "saved", "imagefolder", "webdataset")}
    (folders["parquet"] / "data").mkdir(parents=True)
    for shard in range(2):
        part = dataset.shard(2, shard, contiguous=True)
        part.to_parquet(folders["parquet"] / "data" / f"train-{shard:05d}-of-00002.parquet", batch_size=8)
    dataset.save_to_disk(folders["saved"], num_shards=2)
    folders["arrow"].mkdir()
    for number, path in enumerate(sorted(folders["saved"].glob("*.arrow"))):
        (folders["arrow"] / f"train-{number:05d}-of-00002.arrow").write_bytes(path.read_bytes())
    _imagefolder(folders["imagefolder"], examples)
    folders["webdataset"].mkdir()
    for shard in range(2):
        half = list(enumerate(examples))[shard * ROWS // 2 : (shard + 1) * ROWS // 2]
        (folders["webdataset"] / f"train-{shard:05d}.tar").write_bytes(webdataset_tar(half))
    return folders


def _imagefolder(folder: Path, examples: list[Example]) -> None:
    (folder / "train" / "images").mkdir(parents=True)
    lines = []
    for number, example in enumerate(examples):
        names = []
        for image in (example.image, *example.extra):
            names.append(f"images/{number}-{image.name}")
            (folder / "train" / names[-1]).write_bytes(image.data)
        lines.append(
            {
                "file_name": names[0],
                "extra_file_names": names[1:],
                "label": example.image.label,
                "caption": example.image.caption,
                "conversations": example.turns,
                "tongue": "en",
                "number": number,
            }
        )
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "train" / "metadata.jsonl").write_text(text)


def webdataset_tar(examples: list[tuple[int, Example]]) -> bytes:
    """A WebDataset shard of the examples: fields `image.png`, `extra_0.png`..., and `json`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for number, example in examples:
            described = {
                "label": example.image.label,
                "caption": example.image.caption,
                "conversations": example.turns,
                "tongue": "en",
                "number": number,
            }
            members = {"image.png": example.image.data, "json": json.dumps(described).encode()}
            members |= {f"extra_{at}.png": image.data for at, image in enumerate(example.extra)}
            for name, data in members.items():
                info = tarfile.TarInfo(f"{number:06d}.{name}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


COLUMNS = {
    "caption": "caption",
    "category": "label",
    "conversations": "conversations",
    "language": "tongue",
}


@dataclasses.dataclass
class Used:
    """An adapter with a source, to list and to read."""

    adapter: HuggingfaceAdapter
    source: HuggingfaceOptions

    def items(self) -> list[Item]:
        return [item for batch in self.adapter.discover(self.source) for item in batch]

    def read(self, items: list[Item]) -> dict[str, Payload | Failure]:
        results = list(self.adapter.read(self.source, iter(items)))
        assert len(results) == len(items), "each item is answered once"
        return dict(results)


@pytest.fixture
def use(tmp_path: Path) -> Callable[..., Used]:
    """`use(dataset=folder, columns={...})`: the adapter for a source with these options."""

    def make(**options: Any) -> Used:
        options = {key: str(value) if isinstance(value, Path) else value for key, value in options.items()}
        given = {"name": "hosted", "adapter": "huggingface", "license": "CC0-1.0", **options}
        adapter = HuggingfaceAdapter(Context(Workspace(tmp_path / "work")))
        return Used(adapter, HuggingfaceOptions.model_validate(given))

    return make


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="session")
def hub_module() -> ModuleType:
    """tests/servers/hub.py."""
    path = HERE.parents[1] / "servers" / "hub.py"
    spec = importlib.util.spec_from_file_location("hub_stand_in", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def hub(hub_module: ModuleType) -> Iterator[Any]:
    """A hub on loopback, for all tests of a process; each test uses a separate repository."""
    with hub_module.serving() as server:
        yield server


class Elsewhere:
    """The adapter in a process with the replica as its hub."""

    def __init__(self, folder: Path, endpoint: str, **environment: str) -> None:
        self.log = folder / "stderr.log"
        self.home = folder / "hf-home"
        known = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        self._errors = self.log.open("wb")
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "driver.py"), str(folder / "work")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=known | {"HF_ENDPOINT": endpoint, "HF_HOME": str(self.home)} | environment,
            text=True,
        )

    def run(self, dataset: str, *, read: bool = True, items: Any = None, **options: Any) -> dict[str, Any]:
        """Discover and read; {"items", "results"} or {"error", "message"}."""
        source = {"name": "hosted", "adapter": "huggingface", "license": "CC0-1.0", "dataset": dataset}
        order: dict[str, Any] = {"source": {**source, **options}, "read": read}
        if items is not None:
            order["items"] = items
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("ANSWER"):
                answer: dict[str, Any] = json.loads(line.removeprefix("ANSWER"))
                return answer
        raise AssertionError(self.log.read_text()[-3000:])

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()
        self._errors.close()


@pytest.fixture(scope="module")
def elsewhere(hub: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    """One such process for the tests of a module."""
    process = Elsewhere(tmp_path_factory.mktemp("elsewhere"), hub.url)
    yield process
    process.stop()


@pytest.fixture
def another(hub: Any, tmp_path: Path) -> Iterator[Callable[..., Elsewhere]]:
    """`another(HF_TOKEN=...)`: further processes with their own environment and an empty cache."""
    started: list[Elsewhere] = []

    def start(**environment: str) -> Elsewhere:
        folder = tmp_path / f"process-{len(started)}"
        folder.mkdir()
        started.append(Elsewhere(folder, hub.url, **environment))
        return started[-1]

    yield start
    for process in started:
        process.stop()
