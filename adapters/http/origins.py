"""Loads each origin's robots.txt and tdmrep.json before the first request for one of its URLs."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from yarl import URL

from ...catalog.models import Failure
from .client import Answer, Job
from .fetch_options import SITE_FILE_LIFE
from .ledger import Ledger, OriginRow
from .optouts import OriginPolicy
from .policy import UNREACHABLE_LIFE, forbids_all
from .site_files import MAX_ROBOTS, MAX_TDMREP, SITE_FILE_REDIRECTS, site_text
from .urls import Target

KEPT = 20_000
"""Maximum origins in memory; the ledger contains the others."""


@dataclass(slots=True)
class _Loading:
    """An origin whose files are being requested, with the jobs that wait for them."""

    waiting: list[Job] = field(default_factory=list)
    status: int = 0
    robots: str | None = None


@dataclass(slots=True)
class Unreachable:
    """An origin whose robots.txt could not be fetched: all of its URLs are forbidden."""

    failure: Failure
    read_at: float


Policy = OriginPolicy | Unreachable


class Origins:
    """The policies of origins: from memory, from the ledger, or from one request while other jobs wait."""

    def __init__(
        self,
        agent: str,
        ledger: Ledger,
        ask: Callable[[Job], None],
        admit: Callable[[Job, Policy], None],
    ) -> None:
        """`agent` is the product token. `ask` sends a job; `admit` receives each job with its policy."""
        self._agent, self._ledger, self._ask, self._admit = agent, ledger, ask, admit
        self._known: OrderedDict[str, Policy] = OrderedDict()
        self._loading: dict[str, _Loading] = {}

    def consult(self, job: Job) -> None:
        """Call `admit` with the job and its origin's policy, once the policy is available."""
        origin = job.target.origin
        policy = self._known.get(origin)
        if policy is not None and policy.read_at > time.time() - _life(policy):
            self._admit(job, policy)
            return
        loading = self._loading.get(origin)
        if loading is not None:
            loading.waiting.append(job)
            return
        row = self._ledger.origin(origin)
        if row is not None:
            policy = OriginPolicy(self._agent, origin, row.at, row.robots_status, row.robots, row.tdmrep)
            self._keep(origin, policy)
            self._admit(job, policy)
            return
        self._loading[origin] = _Loading([job])
        self._ask(self._file(job.target, "/robots.txt", self._on_robots, MAX_ROBOTS))

    def _file(
        self, target: Target, path: str, resolve: Callable[[Job, Answer | Failure], None], limit: int
    ) -> Job:
        url = URL(f"{target.origin}{path}", encoded=True)
        return Job(
            Target(url, target.host, target.origin),
            resolve,
            limit,
            SITE_FILE_REDIRECTS,
            clip=True,
            address=target.origin,
        )

    def _on_robots(self, job: Job, result: Answer | Failure) -> None:
        origin = job.address
        loading = self._loading[origin]
        if isinstance(result, Failure):
            if forbids_all(result):
                self._arrived(origin, Unreachable(result, time.time()))
                return
            loading.status = int(result.meta.get("http_status", 0))
        else:
            loading.status = result.status
            loading.robots = site_text(result.body, MAX_ROBOTS)
        target = loading.waiting[0].target
        self._ask(self._file(target, "/.well-known/tdmrep.json", self._on_tdmrep, MAX_TDMREP))

    def _on_tdmrep(self, job: Job, result: Answer | Failure) -> None:
        origin = job.address
        loading = self._loading[origin]
        tdmrep = None if isinstance(result, Failure) else site_text(result.body)
        row = OriginRow(
            origin=origin,
            robots_status=loading.status,
            robots=loading.robots,
            tdmrep=tdmrep,
            at=time.time(),
        )
        policy = OriginPolicy(self._agent, origin, row.at, row.robots_status, row.robots, row.tdmrep)
        self._ledger.remember_origin(row)
        self._arrived(origin, policy)

    def _arrived(self, origin: str, policy: Policy) -> None:
        self._keep(origin, policy)
        for job in self._loading.pop(origin).waiting:
            self._admit(job, policy)

    def _keep(self, origin: str, policy: Policy) -> None:
        self._known[origin] = policy
        self._known.move_to_end(origin)
        if len(self._known) > KEPT:
            self._known.popitem(last=False)


def _life(policy: Policy) -> float:
    return UNREACHABLE_LIFE if isinstance(policy, Unreachable) else SITE_FILE_LIFE
