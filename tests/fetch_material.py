"""Fetches real data that may not or need not lie in the repository, into .material/ (`make material`).

Source distributions come through pip and are pinned by hash; Debian packages come through apt-get, Debian's
source archives from the mirror that apt is configured with, pinned by size and hash.
What is there already is left alone. Only what the tests use is kept of each package.
"""

from __future__ import annotations

import binascii
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

TARGET = Path(__file__).resolve().parent.parent / ".material"


@dataclass(frozen=True)
class Sdist:
    """A source distribution: `keep` is the folder in it that is wanted."""

    name: str
    license: str
    requirement: str
    sha256: str
    keep: str

    def fetch(self, folder: Path) -> Path:
        """Download and unpack below `folder`; the folder that is to become .material/<name>."""
        wanted = folder / "requirements.txt"
        wanted.write_text(f"{self.requirement} --hash=sha256:{self.sha256}\n")
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet")
        which = ("--no-deps", "--no-binary", ":all:", "--require-hashes", "--requirement", str(wanted))
        run(*pip, *which, "--dest", str(folder))
        (archive,) = folder.glob("*.tar.gz")
        with tarfile.open(archive) as sdist:
            members = [one for one in sdist if self.keep in one.name.partition("/")[2]]
            sdist.extractall(folder / "unpacked", members, filter="data")
        (top,) = (folder / "unpacked").iterdir()
        return top


@dataclass(frozen=True)
class DebianPackage:
    """A Debian package of images: of the folder `keep` in it, each PNG and the `.txt` beside it."""

    name: str
    license: str
    package: str
    keep: str

    def fetch(self, folder: Path) -> Path:
        """Download and unpack below `folder`; the folder that is to become .material/<name>."""
        run("apt-get", "download", self.package, cwd=folder)
        (archive,) = folder.glob("*.deb")
        run("dpkg-deb", "--extract", str(archive), str(folder / "unpacked"))
        for path in (folder / "unpacked" / self.keep).rglob("*"):
            described = path.suffix == ".txt" and path.with_suffix(".png").exists()
            if path.is_file() and path.suffix != ".png" and not described:
                path.unlink()
        return folder / "unpacked" / self.keep


@dataclass(frozen=True)
class DebianSource:
    """An upstream source archive in Debian's pool: of each folder in `keep`, the files of the tests.

    `archive` is the path below `pool/main/`, `size` in bytes; `uuencoded` files are decoded.
    """

    name: str
    license: str
    archive: str
    size: int
    sha256: str
    keep: tuple[str, ...]
    uuencoded: bool = False

    def fetch(self, folder: Path) -> Path:
        """Download, check and unpack below `folder`; the folder that is to become .material/<name>."""
        packed = folder / self.archive.rpartition("/")[2]
        self._download(packed)
        if packed.stat().st_size != self.size or digest(packed) != self.sha256:
            raise RuntimeError(f"{packed.name} has not the size and sha256 that are written here")
        unpacked = folder / "unpacked"
        with tarfile.open(packed) as source:
            for member in source:
                member.name = member.name.partition("/")[2]
                if member.isfile() and member.name.startswith(self.keep):
                    source.extract(member, unpacked, filter="data")
        if self.uuencoded:
            for path in unpacked.rglob("*.uu"):
                path.with_suffix("").write_bytes(uudecoded(path))
                path.unlink()
        return unpacked

    def _download(self, target: Path) -> None:
        which = ("--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian", "Component: main")
        mirrors = dict.fromkeys(run("apt-get", "indextargets", *which).split())
        problem = RuntimeError("apt is configured with no mirror of Debian")
        for mirror in mirrors:
            address = f"{mirror}pool/main/{self.archive}"
            try:
                run("/usr/lib/apt/apt-helper", "download-file", address, str(target), f"SHA256:{self.sha256}")
                return
            except RuntimeError as error:
                problem = error
        raise problem


def digest(path: Path) -> str:
    """The sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def uudecoded(path: Path) -> bytes:
    """The data of a uuencoded file."""
    lines = path.read_bytes().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(b"begin "))
    decoded = bytearray()
    for line in lines[start + 1 : lines.index(b"end", start)]:
        try:
            decoded += binascii.a2b_uu(line)
        except binascii.Error:  # some encoders end a line with more than its length asks for
            decoded += binascii.a2b_uu(line[: ((line[0] - 32 & 63) * 4 + 5) // 3])
    return bytes(decoded)


PIECES: tuple[Sdist | DebianPackage | DebianSource, ...] = (
    Sdist(
        "pillow",
        "MIT-CMU",
        "pillow==12.0.0",
        "87d4f8125c9988bfbed67af47dd7a953e2fc7b0cc1e7800ec6d2080d490bb353",
        "Tests/images",
    ),
    Sdist(
        "libarchive-c",
        "CC0-1.0",
        "libarchive-c==5.3",
        "5ddb42f1a245c927e7686545da77159859d5d4c6d00163c59daff4df314dae82",
        "tests/data",
    ),
    Sdist(
        "pypdf",
        "BSD-3-Clause",
        "pypdf==7.1.0",
        "ca3fa902369e98a6d2cb7b56396de902b72ef9bb3c1e8706c1bfc7d8bd0cf0d7",
        "resources",
    ),
    Sdist(
        "pikepdf",
        "MPL-2.0",
        "pikepdf==10.17.0",
        "de4ccaae83628e86c1fd473b384c09c6ff1dd35a583a8dacbf61d2aa4bea843b",
        "tests/resources",
    ),
    Sdist(
        "pdfs",
        "MPL-2.0, CC-BY-SA-4.0 and public domain",
        "ocrmypdf==17.13.0",
        "151c35d810eb628fbc5cb9bbe80b834ecf094737efa0e7a2e9e1fac3c730ed49",
        "tests/resources",
    ),
    DebianPackage(
        "stamps", "GPL-2.0-or-later and public domain", "tuxpaint-stamps-default", "usr/share/tuxpaint/stamps"
    ),
    DebianPackage("openclipart", "public domain", "openclipart-png", "usr/share/openclipart/png"),
    DebianSource(
        "pdfjs",
        "Apache-2.0",
        "p/pdf.js/pdf.js_2.14.305+dfsg.orig.tar.xz",
        62_348_660,
        "c6248d0b329c9edbea169740571561fd0941d9ff634c1b4c7bdaca5d681f34ce",
        ("test/pdfs/", "examples/", "web/images/"),
    ),
    DebianSource(
        "qpdf",
        "Apache-2.0",
        "q/qpdf/qpdf_11.3.0.orig.tar.gz",
        18_732_977,
        "547cee67de77b5c4ef4917e57d2db9c848cfe3aa950361f68d36367a3a03936e",
        ("qpdf/qtest/", "examples/qtest/", "libtests/qtest/"),
    ),
    DebianSource(
        "libpng",
        "libpng-2.0",
        "libp/libpng1.6/libpng1.6_1.6.39.orig.tar.gz",
        1_519_415,
        "a00e9d2f2f664186e4202db9299397f851aea71b36a35e74910b8820e380d441",
        ("contrib/pngsuite/", "contrib/testpngs/", "contrib/visupng/", "pngtest.png", "pngbar."),
    ),
    DebianSource(
        "tiff",
        "libtiff",
        "t/tiff/tiff_4.5.0.orig.tar.bz2",
        2_050_377,
        "638f43d7dea33948d5dee7f39572fc0194d9cc3c74195de9dd26a4388a1f880a",
        ("test/images/", "test/refs/", "doc/images/"),
    ),
    DebianSource(
        "gdk-pixbuf",
        "LGPL-2.1-or-later",
        "g/gdk-pixbuf/gdk-pixbuf_2.42.10+dfsg.orig.tar.xz",
        6_439_240,
        "46663e445468e92f4a0ca876b02aed4f8758595ee3acfaa6ef3ba2b29e1c1930",
        ("tests/",),
    ),
    DebianSource(
        "libarchive",
        "BSD-2-Clause",
        "liba/libarchive/libarchive_3.6.2.orig.tar.xz",
        5_213_196,
        "9e2c1b80d5fbe59b61308fdfab6c79b5021d7ff4ff2489fb12daf0a96a83551d",
        ("libarchive/test/", "cat/test/", "cpio/test/", "tar/test/", "contrib/oss-fuzz/", "doc/pdf/"),
        uuencoded=True,
    ),
    DebianSource(
        "golang",
        "BSD-3-Clause",
        "g/golang-1.19/golang-1.19_1.19.8.orig.tar.gz",
        26_553_006,
        "1d7a67929dccafeaf8a29e55985bc2b789e0499cb1a17100039f084e3238da2f",
        (
            "src/archive/tar/testdata/",
            "src/archive/zip/testdata/",
            "src/compress/bzip2/testdata/",
            "src/image/testdata/",
            "src/image/png/testdata/",
        ),
    ),
)


def run(*command: str, cwd: Path | None = None) -> str:
    """Run a command quietly and return its output; RuntimeError with its messages if it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def main(names: list[str]) -> int:
    """Fetch the named pieces, or all; the number of those that could not be fetched."""
    failures = 0
    TARGET.mkdir(exist_ok=True)
    for piece in PIECES:
        if (names and piece.name not in names) or (TARGET / piece.name).exists():
            continue
        print(f"fetching {piece.name} ({piece.license})", flush=True)
        with tempfile.TemporaryDirectory(dir=TARGET) as scratch:
            try:
                shutil.move(piece.fetch(Path(scratch)), TARGET / piece.name)
            except (RuntimeError, OSError) as error:
                print(f"  {piece.name}: {error}", file=sys.stderr)
                failures += 1
    return failures


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
