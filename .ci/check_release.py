"""Checks built distributions: valid metadata, every package and SQL file in the wheel, nothing else in it."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path

from packaging.metadata import Metadata

ROOT = Path(__file__).resolve().parents[1]
NOT_SHIPPED = {"tests", "benchmarks", "docs"}


def main(paths: list[str]) -> int:
    """Print what is wrong with the distributions; the exit code."""
    problems = [problem for path in map(Path, paths) for problem in check(path)]
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(paths)} distributions checked, {len(problems)} problems")
    return 1 if problems or len(paths) != 2 else 0


def check(path: Path) -> list[str]:
    """What is wrong with a wheel or sdist."""
    names, metadata = wheel(path) if path.suffix == ".whl" else sdist(path)
    parsed = Metadata.from_email(metadata, validate=True)
    problems = [f"{path.name}: no {key}" for key in ("summary", "description", "license_expression")
                if not getattr(parsed, key)]  # fmt: skip
    if path.suffix == ".whl":
        inside = {name.removeprefix("derlem/") for name in names if name.startswith("derlem/")}
        wanted = {file.relative_to(ROOT).as_posix() for file in (ROOT / "sql").rglob("*.sql")} | {"py.typed"}
        problems += [f"{path.name}: lacks {name}" for name in sorted(wanted - inside)]
        shipped = sorted({name.split("/")[0] for name in inside} & NOT_SHIPPED)
        problems += [f"{path.name}: holds {name}/" for name in shipped]
    return problems


def wheel(path: Path) -> tuple[list[str], bytes]:
    """Names of the files in a wheel, and its metadata."""
    with zipfile.ZipFile(path) as file:
        names = file.namelist()
        [metadata] = [name for name in names if name.endswith(".dist-info/METADATA")]
        return names, file.read(metadata)


def sdist(path: Path) -> tuple[list[str], bytes]:
    """Names of the files in an sdist, and its metadata."""
    with tarfile.open(path) as file:
        names = file.getnames()
        member = file.extractfile(f"{names[0].split('/')[0]}/PKG-INFO")
        assert member is not None
        return names, member.read()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
