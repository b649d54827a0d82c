"""One word per thing: names and phrases that the project does not use, with the name to use instead.

Each rule is a pattern and its replacement. A rule may name folders in which the word has another,
legitimate meaning; `ALLOWED` lists single files, each with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

SUFFIXES = {".py", ".sql", ".md", ".yaml", ".yml", ".toml", ".sh", ".ipynb"}
SKIPPED_FOLDERS = {"build", "dist", "data", "_build"}


@dataclass(frozen=True)
class Rule:
    """A pattern that must not occur, what to use instead, and path prefixes where it may occur."""

    pattern: str
    instead: str
    allowed_in: tuple[str, ...] = ()


SEATS = (
    "sampling/",
    "sql/sampling/",
    "tests/sampling/",
    "tests/factories/",
    "docs/",
    "benchmarks/sample_scale.py",
)

RULES = (
    # one word per thing
    Rule(r"pictures?", "image"),
    Rule(r"\w*licences?\w*", "license"),
    Rule(r"numbered_(seats|samples)", "manifest_rows, manifests"),
    Rule(r"seats?", "manifest row (a seat belongs to Webster's method)", SEATS),
    Rule(r"settle[sd]?|settling|settle_\w+", "record_outcome, finish, resolve"),
    Rule(r"refusals?", "failure"),
    # people metaphors
    Rule(r"says?|saying|said|_said", "state, report, contain, message"),
    Rule(r"(?<!\.)tells?(?!\(\))|_?telling|told|telling_\w+|_tell_\w+", "report, show, identify"),
    Rule(r"heeds?|heeded|heed_\w+|_heed_\w+", "handle, respect"),
    Rule(r"spares?|spared|spare_\w+|spared_\w+|sparing", "avoid, save, skip"),
    Rule(r"manners|politeness|polite", "middlewares, limits"),
    Rule(r"cares?|cared", "maintenance, handle"),
    Rule(r"nobody|somebody|everybody|anybody|whoever", "name the component", ("tests/",)),
    Rule(r"condemned|condemn", "task_failure"),
    Rule(r"vetted|vets?", "validated"),
    Rule(r"leash\w*", "renderer_client"),
    Rule(r"losers?|winners?|contenders?", "excluded, selected, ranked candidates"),
    Rule(r"suspects?|suspected|sampling/verdicts|verdicts", "duplicate_candidates, eligibility"),
    # names of modules, classes, constants and tables
    Rule(r"look_?alikes?", "near_duplicates"),
    Rule(r"noted|look_up", "dedup_index, load"),
    Rule(r"Census|bent", "CandidateCounts, relaxed"),
    Rule(
        r"make_room|Brackets?|sampling[./](brackets|integers|near)(?=\.| import)",
        "release, key_bounds, hex_keys",
    ),
    Rule(r"Turnstile|Rests|patience|patient", "MemorySemaphore, HostPauses, max_wait"),
    Rule(r"Spread|Spread\.\w+", "Partitioning"),
    Rule(r"FRUITLESS|FALSE_STARTS|LAST_WORDS|wind_up", "MAX_CONSECUTIVE_ERRORS, MAX_FAILED_STARTS, drain"),
    Rule(r"held_back|die_with|dies_with", "defer_signals, exit_with_parent"),
    Rule(r"begun(?=\()|commands[./](care|takedown|work)\b", "start_run, maintenance, withdraw, run_scope"),
    Rule(r"kept_hashes|item\.hint|hint(?==)", "hash_cache, locator_state"),
    Rule(r"[Ii]nventory|remains", "shard_scan, purge_residue"),
)

ALLOWED: dict[tuple[str, str], str] = {
    ("tests/corpus/test_build.py", "picture"): "bytes of the golden shards",
    ("tests/corpus/test_build.py", "pictures"): "a category of the golden shards",
    ("corpus/files.py", "tell"): "a method of Python's file interface",
    ("tests/settings/test_load.py", "licence"): "the unknown key of a test",
    ("tests/adapters/urls/test_malformed_lists.py", "said"): "the text of a caption",
}
"""(path, word) to the reason why the word is legitimate there."""


def sources() -> Iterator[Path]:
    """Every text file of the repository that a person writes."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        if any(part.startswith(".") and part not in (".github", ".ci") for part in parts):
            continue
        if SKIPPED_FOLDERS.intersection(parts) or any(part.endswith(".egg-info") for part in parts):
            continue
        if path.suffix in SUFFIXES and path != Path(__file__).resolve():
            yield path


def compiled(rule: Rule) -> re.Pattern[str]:
    """The rule's pattern, as a whole word; a rule without capitals also finds the start of a sentence."""
    flags = re.IGNORECASE if rule.pattern == rule.pattern.lower() else re.NOFLAG
    return re.compile(rf"(?<!\w)(?:{rule.pattern})(?!\w)", flags)


def hits() -> Iterator[tuple[str, int, str, str]]:
    """(path, line number, word found, word to use) of everything that breaks a rule; line 0 is the path."""
    rules = [(compiled(rule), rule) for rule in RULES]
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        text = name.replace("_", " ") + "\n" + path.read_text("utf-8")
        lines = text.splitlines()
        for pattern, rule in rules:
            if name.startswith(rule.allowed_in or ("\0",)) or not pattern.search(text):
                continue
            for number, line in enumerate(lines):
                for found in pattern.finditer(line):
                    if (name, found[0]) not in ALLOWED:
                        yield name, number, found[0], rule.instead


def test_old_words_do_not_occur() -> None:
    found = [f"{path}:{line}: {word!r} (use: {instead})" for path, line, word, instead in hits()]
    assert not found, "\n".join(found)
