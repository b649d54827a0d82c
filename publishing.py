"""Gives corpora to others: the methods of `Project` that publish a finished corpus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import results
from .core.progress import Progress, meter

if TYPE_CHECKING:
    from .core.workspace import Workspace
    from .execution import Execution


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
