"""Path options of sources (see `catalog.paths`)."""

from ..catalog.paths import ResolvedPath as ResolvedPath
