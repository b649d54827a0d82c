"""Fixtures for all tests: real material, a misbehaving web server, an S3 server, and hypothesis profiles."""

from __future__ import annotations

import datetime
import importlib.util
import ipaddress
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, settings
from s3_proxy import Proxy, proxying
from seaweed import CREDENTIALS, READY_BUCKET, Seaweed, serving

from derlem.storage.bucket import Bucket
from derlem.storage.places import BucketPlace
from tests.factories.stamps import make_stamps

ROOT = Path(__file__).resolve().parent.parent

SOAK = bool(os.environ.get("DERLEM_SOAK"))

settings.register_profile("dev", deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True)
settings.register_profile("soak", settings.get_profile("dev"), max_examples=500)
settings.load_profile("soak" if SOAK else "ci" if os.environ.get("CI") else "dev")


def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: half as many workers again as cores, as many tests wait for a process or a server."""
    cores = len(os.sched_getaffinity(0))
    return cores + (cores + 1) // 2


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "short(n): `make test` runs n of the variants, `make soak` all")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Select the variants of `make test`, and run the longest tests first: no worker is left with one."""
    if not SOAK:
        left_out = _left_out(items)
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = [item for item in items if item not in left_out]
    items.sort(key=lambda item: "soak" not in item.path.parts)


def _left_out(items: list[pytest.Item]) -> set[pytest.Item]:
    """All variants of tests with the marker `short(n)` but n at equal distances, the first among them."""
    variants: dict[tuple[Path, str, int], list[pytest.Item]] = {}
    for item in items:
        if marker := item.get_closest_marker("short"):
            variants.setdefault((item.path, item.name.partition("[")[0], marker.args[0]), []).append(item)
    left_out = set[pytest.Item]()
    for (_, _, wanted), of_test in variants.items():
        kept = {round(n * (len(of_test) - 1) / max(wanted - 1, 1)) for n in range(wanted)}
        left_out.update(item for at, item in enumerate(of_test) if at not in kept)
    return left_out


@pytest.fixture(scope="session")
def material() -> Callable[[str], Path]:
    """`material("stamps")`: a folder of real data, or a skip that names the command to get it.

    Looked for in $DERLEM_MATERIAL, beside the checkout, and where `make material` puts it.
    """
    places = [ROOT.parent / "shared" / "material", ROOT / ".material"]
    if given := os.environ.get("DERLEM_MATERIAL"):
        places.insert(0, Path(given))

    def find(name: str) -> Path:
        for place in places:
            if (place / name).exists():
                return place / name
        pytest.skip(f"no material {name!r} here: `make material` fetches it")

    return find


@pytest.fixture(scope="session")
def repeats() -> Callable[[int, int], int]:
    """`repeats(short, long)`: how many times, in `make test` and in `make soak`."""
    return lambda short, long: long if SOAK else short


@pytest.fixture(scope="session")
def demo() -> Path:
    """The demo's public-domain data, which lies in the repository."""
    return ROOT / "configs" / "demo" / "data"


@pytest.fixture(scope="session")
def clipart(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 200 images in categories, most with a text: the demo's clip art, and images made here."""
    folder = tmp_path_factory.mktemp("images") / "clipart"
    shutil.copytree(demo / "clipart", folder)
    return make_stamps(folder, 200 - len(list(folder.rglob("*.png"))))


@pytest.fixture(scope="session")
def misbehaving() -> ModuleType:
    """tests/servers/misbehaving.py."""
    name = "misbehaving"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, ROOT / "tests" / "servers" / f"{name}.py")
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture
def self_signed(tmp_path: Path) -> Path:
    """A key and its certificate for 127.0.0.1, which no authority signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path = tmp_path / "own.pem"
    path.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def server(misbehaving: ModuleType) -> Iterator[Any]:
    """A misbehaving server on the first five loopback addresses, each a host of its own."""
    with misbehaving.MisbehavingServer(tuple(f"127.0.0.{number}" for number in range(1, 6))) as running:
        yield running


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """A running SeaweedFS, started with the first test that needs it."""
    with serving(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


@pytest.fixture
def proxy(seaweed: Seaweed) -> Iterator[Proxy]:
    """A proxy in front of SeaweedFS, without faults at first."""
    with proxying(seaweed.url) as running:
        yield running


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> BucketPlace:
    """An empty prefix of the test's own; the environment has credentials."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    # SeaweedFS reserves several volumes for every bucket
    return BucketPlace(READY_BUCKET, f"{uuid4().hex[:12]}/one")


@pytest.fixture
def bucket(place: BucketPlace, seaweed: Seaweed) -> Bucket:
    """The bucket of `place`, without the proxy."""
    return Bucket(place, endpoint_url=seaweed.url)
