"""Fetching images from a web server on this machine, beside img2dataset.

    python -m benchmarks.fetch_img2dataset [--images 10000] [--sizes 35KB 1KB 1MB] [--threads 16 32 64]

The server is nginx on loopback. img2dataset is installed from PyPI into a separate environment and runs with
a process per core, webdataset output and no resizing, with default options and with `skip_reencode=True`, at
several numbers of threads. Its best rate is reported, from the call of `download`, without its imports (the
rate of the whole process is shown, too). derlem's rate is the best of as many alternating runs, each the
whole process `derlem run`: discovery, robots.txt and TDMRep, fetching, validation by decoding, hashes,
difference hash, segments with fsync, catalog commits. Limits allow 32 concurrent requests, in bursts of the
same size. Every image is different. On a busy machine, repeat the benchmark: the load slows the two programs
differently.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from collections.abc import Iterator
from pathlib import Path

import yaml
from PIL import Image, ImageChops

from benchmarks.images import photo

SIZES = {"35KB": (640, 480, 10_000), "1KB": (56, 42, 10_000), "1MB": (2400, 1800, 1_000)}
"""Width, height and maximum count: a thousand large images are as informative as ten thousand."""

DISTINCT = 50
TRIES = 3
FETCH = {"allow_private": ["127.0.0.1"], "cache": False}
"""Disables the cache, since img2dataset stores no second copy for later revalidation."""

COMPILED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Stores compiled modules from the first run, since pip has compiled img2dataset's modules."""

HOW = {"encode": "as it comes", "skip": "with skip_reencode=True"}
REQUIRED = 4.0
CRITERION = ("35KB", "encode")

NGINX = """
{user}
daemon off;
worker_processes {cores};
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    client_body_temp_path {folder}/t1;
    proxy_temp_path {folder}/t2;
    fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4;
    scgi_temp_path {folder}/t5;
    types {{ image/jpeg jpg; }}
    server {{ listen 127.0.0.1:{port} backlog=4096; root {folder}/www; }}
}}
"""

PEER = """
import sys, time
from img2dataset import download
arguments = dict(
    url_list=sys.argv[1], output_folder=sys.argv[2], thread_count=int(sys.argv[3]),
    processes_count=int(sys.argv[4]), input_format="txt", output_format="webdataset", resize_mode="no",
    skip_reencode=sys.argv[5] == "skip", number_sample_per_shard=500, timeout=30, enable_wandb=False,
)
if __name__ == "__main__":
    started = time.perf_counter()
    download(**arguments)
    print("SECONDS", time.perf_counter() - started)
"""


def jpeg(seed: int, width: int, height: int) -> bytes:
    """A JPEG; large images are noisy like photographs, about 1 MB at 2400x1800."""
    data = photo(seed, width, height)
    if width > 1000:
        image = Image.open(io.BytesIO(data))
        noise = Image.effect_noise(image.size, 14).convert("RGB")
        buffer = io.BytesIO()
        ImageChops.add(image, noise, 1, -128).save(buffer, "JPEG", quality=79)
        data = buffer.getvalue()
    return data


def write_images(folder: Path, width: int, height: int, count: int) -> int:
    """Write `count` JPEGs that differ at least in their density fields; return their mean size in bytes."""
    folder.mkdir()
    images = [jpeg(seed, width, height) for seed in range(DISTINCT)]
    for number in range(count):
        data = bytearray(images[number % DISTINCT])
        assert data[6:11] == b"JFIF\0"
        data[13:18] = struct.pack(">BHH", 1, 1 + number // 256, 1 + number % 256)
        (folder / f"{number}.jpg").write_bytes(data)
    return sum(map(len, images)) // DISTINCT


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[int]:
    """Serve `folder`/www; yields the port."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        sys.exit("this needs nginx: apt-get install nginx-light")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    config = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # otherwise its workers cannot read a temporary folder
    cores = len(os.sched_getaffinity(0))
    config.write_text(NGINX.format(folder=folder, port=port, cores=cores, user=user))
    process = subprocess.Popen([program, "-e", folder / "error.log", "-c", config])
    try:
        for _ in range(100):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


def install_peer(folder: Path) -> Path:
    """Return a Python interpreter with img2dataset, stored for later runs."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    check = [str(python), "-c", "import img2dataset"]
    if subprocess.call(check, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        subprocess.check_call([python, "-m", "pip", "install", "-q", "img2dataset", "setuptools<81"])
    return python


def peer_rates(
    python: Path, urls: Path, count: int, folder: Path, threads: int, reencode: str
) -> tuple[float, float]:
    """img2dataset's images/s, for the call of `download`, and for the whole process.

    A run that lost images (which happens on a stalled machine) is repeated.
    """
    script = folder / "peer.py"
    script.write_text(PEER)
    out = folder / "peer"
    cores = str(len(os.sched_getaffinity(0)))
    for _ in range(TRIES):
        shutil.rmtree(out, ignore_errors=True)
        started = time.perf_counter()
        done = subprocess.run(
            [python, script, urls, out, str(threads), cores, reencode],
            capture_output=True,
            text=True,
            env={**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"},
        )
        whole = time.perf_counter() - started
        found = [line for line in done.stdout.splitlines() if line.startswith("SECONDS")]
        written = sum(
            subprocess.run(["tar", "-tf", tar], capture_output=True, text=True).stdout.count(".jpg\n")
            for tar in out.glob("*.tar")
        )
        if found and written == count:
            shutil.rmtree(out)
            return count / float(found[0].split()[1]), count / whole
        print(f"  img2dataset, {threads} threads: wrote {written} of {count}, again", flush=True)
    sys.exit(f"img2dataset keeps losing images:\n{done.stdout}\n{done.stderr[-2000:]}")


def our_rate(urls: Path, count: int, folder: Path) -> float:
    """derlem's images/s, for the whole process `derlem run`."""
    workspace = folder / "work"
    shutil.rmtree(workspace, ignore_errors=True)
    config = folder / "derlem.yaml"
    limits = {"per_host": {"concurrency": 32, "requests_per_second": 100_000, "burst": 32}}
    source = {"name": "web", "adapter": "urls", "path": str(urls), "license": "CC0-1.0", "limits": limits}
    settings = {"workspace": str(workspace), "fetch": FETCH}
    config.write_text(yaml.safe_dump({**settings, "sources": [source]}))
    command = [sys.executable, "-m", "derlem", "-c", str(config)]
    started = time.perf_counter()
    subprocess.run([*command, "run"], check=True, capture_output=True, env=COMPILED)
    seconds = time.perf_counter() - started
    query = "SELECT count(*) FROM items WHERE status = 'ready'"
    counted = subprocess.run(
        [*command, "sql", "--format", "csv", query], check=True, capture_output=True, text=True
    )
    ready = int(counted.stdout.split()[-1])
    if ready != count:
        sys.exit(f"derlem has {ready} of {count} images")
    shutil.rmtree(workspace)
    return count / seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--threads", nargs="+", type=int, default=[16, 32, 64])
    parser.add_argument("--peer", type=Path, default=Path(tempfile.gettempdir()) / "derlem-bench-img2dataset")
    arguments = parser.parse_args()
    python = install_peer(arguments.peer)
    print(f"cores: {len(os.sched_getaffinity(0))}, shared by clients and server; rates in images/s")
    missed = False
    for size in arguments.sizes:
        width, height, most = SIZES[size]
        count = min(arguments.images, most)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            mean = write_images(folder / "www", width, height, count)
            with nginx(folder) as port:
                urls = folder / "urls.txt"
                urls.write_text("".join(f"http://127.0.0.1:{port}/{n}.jpg\n" for n in range(count)))
                urllib.request.urlopen(f"http://127.0.0.1:{port}/0.jpg").read()
                ours = []
                peers = {}
                for threads in arguments.threads:
                    for reencode in HOW:
                        peers[threads, reencode] = peer_rates(python, urls, count, folder, threads, reencode)
                    ours.append(our_rate(urls, count, folder))
        print(f"{count} JPEGs of {mean / 1000:.1f} kB, {width}x{height}")
        for (threads, how), (rate, whole) in peers.items():
            print(f"  img2dataset, {threads} threads, {HOW[how]:24} {rate:8.0f}   whole process {whole:.0f}")
        print(f"  derlem {'':36}{max(ours):8.0f}   of {', '.join(f'{rate:.0f}' for rate in ours)}")
        for how, words in HOW.items():
            best, whole = map(max, zip(*(r for (_, which), r in peers.items() if which == how), strict=True))
            needed = f" (needed: {REQUIRED:g})" if (size, how) == CRITERION else ""
            print(f"  ratio to its best, {words:24}       {max(ours) / best:8.2f}{needed}", flush=True)
            print(f"  ratio, whole processes both {'':26} {max(ours) / whole:8.2f}", flush=True)
            missed |= (size, how) == CRITERION and max(ours) / best < REQUIRED
    sys.exit(missed)


if __name__ == "__main__":
    main()
