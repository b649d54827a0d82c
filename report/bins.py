"""The bins of a report's histograms: labels in order, with samples and the width of each bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .facts import Row

LANGUAGES = 15
"""Languages that a histogram names; the others are one bin."""

ASPECTS = {
    -6: "1:8 and taller", -5: "1:5.7", -4: "1:4", -3: "1:2.8", -2: "1:2", -1: "1:1.4", 0: "1:1", 1: "1.4:1",
    2: "2:1", 3: "2.8:1", 4: "4:1", 5: "5.7:1", 6: "8:1 and wider",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bin:
    """A bar: its label, its samples, and its length in percent of the longest bar."""

    label: str
    samples: int
    length: float


def histogram(name: str, rows: Sequence[Row]) -> list[Bin]:
    """The bins of a histogram in order; empty bins between the first and the last are kept."""
    held = {row["bin"]: row["samples"] for row in rows}
    unknown = held.pop("", 0)
    if name == "language":
        ordered = sorted(held.items(), key=lambda pair: (-pair[1], pair[0]))
        labels = ordered[:LANGUAGES]
        if rest := sum(samples for _, samples in ordered[LANGUAGES:]):
            labels.append((f"{len(ordered) - LANGUAGES} others", rest))
    elif name == "aspect":
        counts = {round(float(label)): samples for label, samples in held.items()}
        labels = [(ASPECTS[step], counts.get(step, 0)) for step in _span(counts)]
    else:
        powers = {int(label): samples for label, samples in held.items()}
        none = powers.pop(0, 0)
        exponents = {power.bit_length() - 1: samples for power, samples in powers.items()}
        unit = _bytes if name == "size" else _plain
        labels = [
            (f"{unit(2**step)} to {unit(2 ** (step + 1))}", exponents.get(step, 0))
            for step in _span(exponents)
        ]
        if none:
            labels.insert(0, ("none", none))
    if unknown:
        labels.append(("unknown", unknown))
    longest = max((samples for _, samples in labels), default=0) or 1
    return [Bin(label, samples, round(100 * samples / longest, 2)) for label, samples in labels]


def _span(counts: dict[int, int]) -> range:
    return range(min(counts), max(counts) + 1) if counts else range(0)


def _plain(number: int) -> str:
    return f"{number:,}"


def _bytes(number: int) -> str:
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number} {unit}"
        number //= 1024
    return f"{number} GiB"
