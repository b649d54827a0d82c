"""Fetches real data that may not or need not lie in the repository, into .material/ (`make material`).

Source distributions come through pip and are pinned by hash; Debian packages come through apt-get.
What is there already is left alone. Only what the tests use is kept of each package.
"""

from __future__ import annotations

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


PIECES: tuple[Sdist | DebianPackage, ...] = (
    Sdist(
        "pillow",
        "pillow==12.0.0",
        "87d4f8125c9988bfbed67af47dd7a953e2fc7b0cc1e7800ec6d2080d490bb353",
        "Tests/images",
    ),
    Sdist(
        "libarchive-c",
        "libarchive-c==5.3",
        "5ddb42f1a245c927e7686545da77159859d5d4c6d00163c59daff4df314dae82",
        "tests/data",
    ),
    Sdist(
        "pypdf",
        "pypdf==7.1.0",
        "ca3fa902369e98a6d2cb7b56396de902b72ef9bb3c1e8706c1bfc7d8bd0cf0d7",
        "resources",
    ),
    Sdist(
        "pikepdf",
        "pikepdf==10.17.0",
        "de4ccaae83628e86c1fd473b384c09c6ff1dd35a583a8dacbf61d2aa4bea843b",
        "tests/resources",
    ),
    Sdist(
        "pdfs",
        "ocrmypdf==17.13.0",
        "151c35d810eb628fbc5cb9bbe80b834ecf094737efa0e7a2e9e1fac3c730ed49",
        "tests/resources",
    ),
    DebianPackage("stamps", "tuxpaint-stamps-default", "usr/share/tuxpaint/stamps"),
    DebianPackage("openclipart", "openclipart-png", "usr/share/openclipart/png"),
)


def run(*command: str, cwd: Path | None = None) -> None:
    """Run a command quietly; RuntimeError with its output if it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr.strip() or done.stdout.strip()}")


def main(names: list[str]) -> int:
    """Fetch the named pieces, or all; the number of those that could not be fetched."""
    failures = 0
    TARGET.mkdir(exist_ok=True)
    for piece in PIECES:
        if (names and piece.name not in names) or (TARGET / piece.name).exists():
            continue
        print(f"fetching {piece.name}", flush=True)
        with tempfile.TemporaryDirectory(dir=TARGET) as scratch:
            try:
                shutil.move(piece.fetch(Path(scratch)), TARGET / piece.name)
            except (RuntimeError, OSError) as error:
                print(f"  {piece.name}: {error}", file=sys.stderr)
                failures += 1
    return failures


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
