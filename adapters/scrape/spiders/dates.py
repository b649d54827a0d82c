"""Reads dates of newspaper archives: month names in four languages, Ottoman-era and misspelled names.

Month names are matched as whole words, the longest first: substring replacement turns `kanunusani`
into `kanunu1`, and many words in a catalog of newspapers begin like a month.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

Precision = Literal["day", "month", "year"]

_MONTHS: dict[int, str] = {
    1: "ocak, kanunusani, kanunisani, kanun u sani, kanun i sani, kanun sani, ikinci kanun, ikincikanun, "
    "son kanun, sonkanun, ii kanun, 2 nci kanun, 2 inci kanun, january, jan, janvier, januar",
    2: "subat, february, feb, fevrier, februar",
    3: "mart, march, mar, mars, marz, maerz",
    4: "nisan, april, apr, avril",
    5: "mayis, may, mai",
    6: "haziran, june, jun, juin, juni",
    7: "temmuz, july, jul, juillet, juli",
    8: "agustos, august, aug, aout",
    9: "eylul, september, sept, sep, septembre",
    10: "ekim, tesrinievvel, tesriniewel, tesrin i evvel, tesrin evvel, birinci tesrin, birincitesrin, "
    "ilk tesrin, ilktesrin, i tesrin, 1 inci tesrin, october, oct, octobre, oktober",
    11: "kasim, tesrinisani, tesrin i sani, tesrin sani, ikinci tesrin, ikincitesrin, son tesrin, sontesrin, "
    "ii tesrin, 2 nci tesrin, 2 inci tesrin, november, nov, novembre",
    12: "aralik, kanunuevvel, kanunievvel, kanun u evvel, kanun i evvel, kanun evvel, birinci kanun, "
    "birincikanun, ilk kanun, ilkkanun, i kanun, 1 inci kanun, december, dec, decembre, dezember",
}

_PHRASES: dict[tuple[str, ...], int] = {
    tuple(name.split()): month for month, names in _MONTHS.items() for name in names.split(", ")
}
_LONGEST = max(map(len, _PHRASES))
_LONG_WORDS = {words[0]: month for words, month in _PHRASES.items() if len(words) == 1 and len(words[0]) > 4}

_FOLDED = str.maketrans(
    {"İ": "i", "I": "i", "ı": "i", "Ş": "s", "ş": "s", "Ğ": "g", "ğ": "g", "Ø": "o", "ø": "o", "ß": "ss"}
)
_TOKEN = re.compile(r"[^\W\d_]+|\d+")
_NOISE = frozenset({"pdf", "th", "st", "nd", "rd"})
_RANGE = re.compile(r"(?<!\d)\d{1,2}\s*(?:[-–—/&+]|ve|and|et|und)\s*\d{1,2}(?!\d|\s*i?nci)")
_ISSUE = re.compile(r"(?<![^\W_])(?:sayi|no|nr|numara|issue|cilt|vol)\W*\d+")
_YEARS = range(1500, 2100)
_YEAR_FIRST = re.compile(r"(?<!\d)(\d{4})([-./])(\d{1,2})(?:\2(\d{1,2}))?(?!\d)")
_DAY_FIRST = re.compile(r"(?<!\d)(\d{1,2})([-./])(\d{1,2})\2(\d{4})(?!\d)")
_COMPACT = re.compile(r"(?<!\d)(\d{4})(\d{2})(\d{2})(?!\d)")


@dataclass(frozen=True, slots=True)
class PartialDate:
    """A Gregorian date with the precision of a year, a month or a day."""

    year: int
    month: int | None = None
    day: int | None = None

    @property
    def precision(self) -> Precision:
        """The precision: day, month or year."""
        return "day" if self.day else "month" if self.month else "year"

    @property
    def iso(self) -> str:
        """ISO 8601: `1936`, `1936-01` or `1936-01-05`."""
        parts = [f"{self.year:04d}"] + [f"{part:02d}" for part in (self.month, self.day) if part]
        return "-".join(parts)

    def refines(self, other: PartialDate) -> bool:
        """Return whether this date is more precise than `other` and consistent with `other`."""
        return other.iso != self.iso and self.iso.startswith(other.iso)


def fold(text: str) -> str:
    """Return lower case without marks; Turkish letters first, since `'İ'.lower()` is two code points."""
    decomposed = unicodedata.normalize("NFKD", text.translate(_FOLDED)).translate(_FOLDED)
    return "".join(mark for mark in decomposed.lower() if not unicodedata.combining(mark))


def read_date(text: str, year: int | None = None) -> PartialDate | None:
    """Return the unambiguous part of the date in `text`; None without a date.

    `year` comes from the context (such as the table that contains the text); a year in the text has
    priority. A part with two candidates is omitted: `30 Haziran - 1 Temmuz 1936` is the year 1936, `1-2
    Mart 1935` a month. Years outside 1500-2099 are ignored (Hijri and Rumi years are not converted).
    """
    plain = fold(text)
    numeric = _numeric(plain)
    if numeric is not None:
        return numeric
    days_only = _RANGE.sub(" ", _ISSUE.sub(" ", plain))
    tokens = [token for token in _TOKEN.findall(days_only) if token not in _NOISE]
    found = _months(tokens)
    names = {month for month, _, _ in found}
    years = {int(token) for token in tokens if len(token) == 4 and token.isdecimal() and int(token) in _YEARS}
    if len(years) > 1:
        years &= {year}
    known = years.pop() if years else year
    if known is None:
        return None
    if len(names) != 1:
        return PartialDate(known)
    month, start, end = found[0]
    return _checked(known, month, _day(tokens, start, end)) or PartialDate(known, month)


def _numeric(text: str) -> PartialDate | None:
    """Return a date written only in digits; the day precedes the month where the year comes last."""
    dates: set[PartialDate | None] = set()
    for year, _, month, day in _YEAR_FIRST.findall(text):
        dates.add(_checked(int(year), int(month), int(day) if day else None))
    for day, _, month, year in _DAY_FIRST.findall(text):
        dates.add(_checked(int(year), int(month), int(day)))
    for year, month, day in _COMPACT.findall(text):
        dates.add(_checked(int(year), int(month), int(day)))
    dates.discard(None)
    return dates.pop() if len(dates) == 1 else None


def _checked(year: int, month: int, day: int | None) -> PartialDate | None:
    """Return the date if it exists in the calendar, else None."""
    try:
        date(year, month, day or 1)
    except ValueError:
        return None
    return PartialDate(year, month, day) if year in _YEARS else None


def _months(tokens: Sequence[str]) -> list[tuple[int, int, int]]:
    """Return months with their tokens [start, end); misspelled names count only without an exact match."""
    found: list[tuple[int, int, int]] = []
    at = 0
    while at < len(tokens):
        for length in range(min(_LONGEST, len(tokens) - at), 0, -1):
            month = _PHRASES.get(tuple(tokens[at : at + length]))
            if month:
                found.append((month, at, at + length))
                at += length
                break
        else:
            at += 1
    if found:
        return found
    for at, token in enumerate(tokens):
        near = {month for word, month in _LONG_WORDS.items() if one_edit_apart(word, token)}
        if len(near) == 1:
            found.append((near.pop(), at, at + 1))
    return found


def _day(tokens: Sequence[str], start: int, end: int) -> int | None:
    """Return the day next to the month's tokens [start, end): the number before them, or else after."""
    for at in (start - 1, end):
        if 0 <= at < len(tokens) and len(tokens[at]) <= 2 and tokens[at].isdecimal() and int(tokens[at]):
            return int(tokens[at])
    return None


def one_edit_apart(word: str, other: str) -> bool:
    """Return whether inserting, deleting, changing or swapping one letter makes the words equal."""
    if abs(len(word) - len(other)) > 1 or word == other:
        return False
    same = next((i for i, (a, b) in enumerate(zip(word, other, strict=False)) if a != b), None)
    if same is None:
        return True  # the longer word is the shorter one plus one letter
    if len(word) == len(other):
        swapped = word[:same] + word[same + 1 : same + 2] + word[same] + word[same + 2 :]
        return word[same + 1 :] == other[same + 1 :] or swapped == other
    shorter, longer = sorted((word, other), key=len)
    return shorter[same:] == longer[same + 1 :]
