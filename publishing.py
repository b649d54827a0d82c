"""Gives corpora to others: the methods of `Project` that publish and export finished corpora."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from . import results
from .core.errors import ConfigError
from .core.progress import Progress, meter
from .core.suggest import did_you_mean

if TYPE_CHECKING:
    from .core.workspace import Workspace
    from .execution import Execution

TOOLS = ("energon", "datasets", "fiftyone")
"""The tools for which a corpus can be exported."""


class PublishingMethods:
    """The methods of `Project` for corpora outside of the workspace."""

    workspace: Workspace
    progress: Progress
    _execution: Execution

    def publish(
        self, target: str, name: str | None = None, *, public: bool = False, dry_run: bool = False
    ) -> results.PublishResult:
        """Upload the corpus `name` (default: the configured one) to a dataset repository of the hub.

        `target` is `hf://org/name`. A new repository is private, unless `public`; a public one is refused
        without `public`. Shards are uploaded one by one, and one commit names all files. A repeated upload
        sends only what the hub lacks. Raises ConfigError, UnknownManifest, NotPublishable, PublishFailed and
        MissingExtra.
        """
        from .corpus.publish import files_to_publish, publish_corpus, repository_of

        repository = repository_of(target)
        chosen = name or self._execution.configured_sample().name
        if dry_run:
            files = files_to_publish(self.workspace, chosen)
            size = sum(file.bytes for file in files)
            return results.PublishResult(True, chosen, target, len(files), size, private=not public)
        with self._execution.lock("publish"), self._execution.start("publish") as scope:
            scope.state.enter("publish")
            files = files_to_publish(self.workspace, chosen)
            with meter(scope.progress, f"publish {chosen}", len(files)) as shown:
                done = publish_corpus(
                    chosen,
                    files,
                    repository,
                    public=public,
                    progress=lambda size: shown.advance(1, bytes=size),
                )
        size = sum(file.bytes for file in files)
        return results.PublishResult(
            False, chosen, done.url, len(files), size, done.unchanged, done.commit, done.private
        )

    def export(
        self,
        tool: str,
        name: str | None = None,
        *,
        output: str | PathLike[str] | None = None,
        dry_run: bool = False,
    ) -> results.Exported:
        """Describe the corpus `name` (default: the configured one) for a tool of TOOLS.

        `energon` adds indexes and the folder `.nv-meta` to the corpus, which later builds and takedowns keep
        up to date. `datasets` writes a module with a function per split (default: `load_<name>.py`).
        `fiftyone` writes images as files, and the JSON of a dataset, to a new folder (default:
        `<name>-fiftyone`); its samples are the images. Raises ConfigError, UnknownManifest, NotPublishable,
        and UnreadableCorpus for a damaged shard.
        """
        from .corpus.export import check_exportable, export_datasets, export_energon, export_fiftyone

        if tool not in TOOLS:
            raise ConfigError(f"there is no export for {tool!r}{did_you_mean(tool, TOOLS)}")
        if tool == "energon" and output is not None:
            raise ConfigError("Energon reads the folder of the corpus: there is no other output")
        chosen = name or self._execution.configured_sample().name
        default = f"load_{chosen.replace('-', '_')}.py" if tool == "datasets" else f"{chosen}-fiftyone"
        target = Path(output or default)
        if dry_run:
            found = check_exportable(self.workspace, chosen)
            return found if tool == "energon" else replace(found, path=target)
        with self._execution.lock("export"):
            if tool == "energon":
                return export_energon(self.workspace, chosen)
            write = export_datasets if tool == "datasets" else export_fiftyone
            return write(self.workspace, chosen, target)
