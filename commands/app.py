"""A loaded configuration and what all commands take from it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..adapters.base import Context, SourceOptions
from ..core.errors import ConfigError
from ..core.suggest import did_you_mean
from ..core.workspace import Workspace
from ..media.media_options import MediaOptions
from ..pipeline.logs import configure_logs
from ..sampling.sample_options import SampleOptions, scaled
from ..settings.documents import Document
from ..settings.load import Loaded, validated


def say(message: str) -> None:
    """A message for people: on stderr, so that stdout is data only."""
    print(message, file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class App:
    """A loaded configuration and how its commands are to run."""

    loaded: Loaded
    workspace: Workspace
    command: str
    dry_run: bool
    test_mode: bool

    @classmethod
    def from_options(
        cls,
        document: Document,
        *,
        command: str,
        dry_run: bool,
        test_mode: bool,
        verbose: bool,
    ) -> App:
        """Check the configuration and set up logs; ConfigError for what is wrong with either."""
        loaded = validated(document)
        root = Path(loaded.config.workspace)
        if test_mode:
            root = root.with_name(root.name + "-test")
        workspace = Workspace(root)
        log = loaded.config.log
        configure_logs(
            None if dry_run else workspace.logs,
            level=log.level,
            levels=log.levels,
            as_json=log.format == "json",
            verbose=verbose,
        )
        return cls(loaded, workspace, command, dry_run, test_mode)

    @property
    def context(self) -> Context:
        """What adapters see of the workspace and the configuration."""
        return Context(self.workspace, self.loaded.config.fetch)

    @property
    def media(self) -> MediaOptions:
        """How images and PDF pages are brought into form."""
        config = self.loaded.config
        return MediaOptions(config.image, config.pdf)

    @property
    def limit(self) -> int | None:
        """Items per source that are listed at most."""
        return self.loaded.config.test_mode.items if self.test_mode else None

    @property
    def sample_options(self) -> SampleOptions | None:
        """The `sample` section, if there is one; in test mode with a target that can be reached."""
        options = self.loaded.config.sample
        if options is None or not self.test_mode:
            return options
        reachable = self.loaded.config.test_mode.items * len(self.loaded.config.sources)
        return scaled(options, min(options.target, reachable))

    def sources(self, names: Sequence[str]) -> list[SourceOptions]:
        """The named sources, or all; ConfigError for a name that is not declared."""
        declared = {source.name: source for source in self.loaded.config.sources}
        for name in names:
            if name not in declared:
                hint = did_you_mean(name, declared) or f" (declared: {', '.join(declared)})"
                raise ConfigError(f"no source is named {name!r}{hint}")
        return [declared[name] for name in names] if names else list(declared.values())
