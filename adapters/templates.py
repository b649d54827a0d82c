"""Category templates such as 'photos/{dir}' over an item's fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from string import Formatter

from ..catalog.models import category_path
from ..core.errors import ConfigError
from ..core.suggest import did_you_mean


class Template:
    """A category template, parsed and checked once, rendered per item."""

    def __init__(self, text: str, fields: Iterable[str], key: str = "category") -> None:
        """Parse `text`; ConfigError if it is malformed or names a field that is not in `fields`."""
        known = sorted(set(fields))
        self._pieces: list[tuple[str, str | None]] = []
        try:
            parsed = list(Formatter().parse(text))
        except ValueError as error:
            raise ConfigError(f"malformed template {text!r}: {error}", key=key) from error
        for literal, name, spec, conversion in parsed:
            if spec or conversion:
                raise ConfigError(f"template {text!r}: a field is a bare name, {{{name}}}", key=key)
            if name is not None and name not in known:
                hint = did_you_mean(name, known, "{{{}}}".format)
                raise ConfigError(
                    f"template {text!r} names the field {{{name}}}, which does not exist{hint} "
                    f"(fields: {', '.join(known) or 'none'})",
                    key=key,
                )
            self._pieces.append((literal, name))
        self.fields = frozenset(name for _, name in self._pieces if name is not None)
        """The fields that the template uses."""

    def render(self, fields: Mapping[str, object]) -> str:
        """Return the category path; missing and None values are empty, and empty steps are dropped."""
        text = []
        for literal, name in self._pieces:
            value = None if name is None else fields.get(name)
            text.append(literal if value is None else f"{literal}{value}")
        return category_path("".join(text))
