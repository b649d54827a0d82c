"""Reads the records of a JSON file one after the other; memory does not grow with the file.

A record that is malformed or too long costs itself, as long as its brackets show where it ends. After other
damage, such as a file that ends early, the records before the damage are kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import IO, Any

from ..json_values import DECODER, checked

CHUNK = 2**20
"""Characters read at a time."""
MAX_RECORD = 2**24
"""Maximum characters of a record."""

_SPACE = re.compile(r"[ \t\r\n]*")
_OUTSIDE = re.compile(r'["\[\]{}]')
_INSIDE = re.compile(r'\\.|"', re.DOTALL)
"""What a search for the end of a value stops at, outside and inside of texts."""

Found = tuple[str, int, Any]


class JsonDamage(ValueError):
    """A file that is not JSON from some place on."""


class BadRecord(str):
    """The error of a malformed record, in place of its value."""


class _Malformed(ValueError):
    """A value that does not parse."""


def json_records(file: IO[str], members: Collection[str] = ()) -> Iterator[Found]:
    """Yield (member, number from 1, value) of every record, in order.

    A file is an array of records (the member is ''), or an object with arrays of records; without `members`
    all of its arrays are read. A BadRecord takes the place of a malformed record. Raises JsonDamage.
    """
    scanner = _Scanner(file)
    first = scanner.peek()
    if first == "[":
        yield from scanner.elements("")
    elif first == "{":
        yield from _members(scanner, members)
    else:
        raise JsonDamage("neither an array nor an object" if first else "an empty file")
    if scanner.peek():
        raise JsonDamage("text after the end of the records")


def _members(scanner: _Scanner, members: Collection[str]) -> Iterator[Found]:
    scanner.expect("{")
    if scanner.peek() == "}":
        scanner.expect("}")
        return
    while True:
        try:
            name = scanner.value()
        except ValueError as problem:
            raise JsonDamage(str(problem)) from problem
        if not isinstance(name, str):
            raise JsonDamage("a name in the object is not a text")
        scanner.expect(":")
        if scanner.peek() == "[" and (not members or name in members):
            yield from scanner.elements(name)
        else:
            scanner.skip()
        if scanner.peek() != ",":
            scanner.expect("}")
            return
        scanner.expect(",")


class _Scanner:
    """A position in a text that is read piece by piece."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._text = ""
        self._at = 0

    def elements(self, member: str) -> Iterator[Found]:
        """Yield the elements of the array at the position."""
        self.expect("[")
        if self.peek() == "]":
            self.expect("]")
            return
        number = 0
        while True:
            number += 1
            yield member, number, self._record()
            if self.peek() != ",":
                self.expect("]")
                return
            self.expect(",")

    def peek(self) -> str:
        """Return the next character that is not white space; '' at the end of the file."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]  # matches always
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read():
                return ""

    def expect(self, character: str) -> None:
        """Move behind a character. Raises JsonDamage if there is another one."""
        found = self.peek()
        if found != character:
            raise JsonDamage(f"{found!r} instead of {character!r}" if found else "the file ends early")
        self._at += 1

    def value(self) -> Any:
        """Return the value at the position, and move behind it.

        Raises _Malformed at the value; or ValueError behind it, for values that the catalog cannot hold.
        """
        self.peek()
        while True:
            try:
                value, end = DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._complete(error) and self._read():
                    continue
                raise _Malformed(str(error)) from error
            except (ValueError, RecursionError) as error:  # a number of too many digits; too many brackets
                raise _Malformed(str(error)) from error
            if end + len(".e+") >= len(self._text) and self._read():  # a number may go on
                continue
            text, self._at = self._text[self._at : end], end
            return checked(value, text)

    def skip(self) -> None:
        """Move behind the value at the position, of any length, by its brackets. Raises JsonDamage."""
        if self.peek() not in ("{", "[", '"'):
            try:
                self.value()
            except _Malformed as problem:
                raise JsonDamage(str(problem)) from problem
            return
        depth, inside = 0, False
        while True:
            match = (_INSIDE if inside else _OUTSIDE).search(self._text, self._at)
            if match is None:
                rest = self._text[self._at :]
                self._at = len(self._text) - (inside and rest.endswith("\\"))  # an escape goes on
                if not self._read():
                    raise JsonDamage("the file ends early")
                continue
            self._at = match.end()
            if match[0] == '"':
                inside = not inside
            elif match[0] in "{[":
                depth += 1
            elif match[0] in "}]":
                depth -= 1
            if depth == 0 and not inside:
                return

    def _record(self) -> Any:
        try:
            return self.value()
        except _Malformed as problem:
            long = len(self._text) - self._at >= MAX_RECORD
            self.skip()
            return BadRecord(f"more than {MAX_RECORD:,} characters" if long else f"not JSON: {problem}")
        except ValueError as problem:
            return BadRecord(str(problem))

    def _complete(self, error: json.JSONDecodeError) -> bool:
        """Whether an error is in the text that has been read, not at its present end."""
        pending = len(self._text) - self._at
        if pending >= MAX_RECORD:
            return True
        return not error.msg.startswith("Unterminated string") and error.pos < len(self._text) - 16

    def _read(self) -> bool:
        """Read more; False, without a change, at the end of the file.

        The size doubles while one value is incomplete.
        """
        more = self._file.read(max(CHUNK, len(self._text) - self._at))
        if more:
            self._text, self._at = self._text[self._at :] + more, 0
        return bool(more)
