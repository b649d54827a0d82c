"""Watches a project: the methods of `Project` for its state, its hosts and interactive reading."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from . import results

if TYPE_CHECKING:
    from .core.workspace import Workspace
    from .execution import Execution
    from .exploration import Exploration
    from .settings.config import Config


class MonitoringMethods:
    """The methods of `Project` that watch a workspace."""

    config: Config
    workspace: Workspace
    _execution: Execution

    @cached_property
    def explore(self) -> Exploration:
        """Pages, items, images and manifests for an interactive reader; what `derlem browse` shows."""
        from .exploration import Exploration

        return Exploration(self._execution)

    def status(self) -> results.StatusResult:
        """The running or last run, the items of every source by status, and the items that wait."""
        from .status import read_status

        return read_status(self.workspace, self._execution.left_failed(self._execution.sources(())))

    def last_run(self) -> results.RunStatus | None:
        """The running or last run, from its state file: also while the catalog is busy."""
        from .status import read_last_run

        return read_last_run(self.workspace)

    def hosts(self) -> tuple[results.PausedHost, ...]:
        """The hosts that are paused, with the reason and the time of the next request."""
        if not self.workspace.ledger.exists():
            return ()
        from .adapters.http.ledger import paused_hosts

        longest = self.config.fetch.max_pause
        return tuple(results.PausedHost(*row) for row in paused_hosts(self.workspace.ledger, longest))

    def clear_host(self, host: str, *, dry_run: bool = False) -> bool:
        """End the pause of a host; return whether the host was paused."""
        if dry_run or not self.workspace.ledger.exists():
            return any(host == paused.host for paused in self.hosts())
        from .adapters.http.ledger import clear_host

        with self._execution.lock("hosts"):
            return clear_host(self.workspace.ledger, host)
