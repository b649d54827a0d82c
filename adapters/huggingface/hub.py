"""Files of a dataset on the Hugging Face hub: pinned to a commit, cached, within the hub's rate limits."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from ...catalog.status import Reason
from ...core.errors import ConfigError
from .dataset_files import Files, FileTrouble

MAX_WAIT = 3600.0
"""Maximum total seconds that one request waits for the hub's rate limit."""

BLOCK = 8 * 2**20
"""Bytes of a range in sequential reading."""

log = logging.getLogger("derlem.fetch")

_limits_lock = threading.Lock()
_waits_installed = False


def token() -> str | bool:
    """Return the user's token from the environment, or False; other places are not used."""
    return os.environ.get("HF_TOKEN", "").strip() or False


def without_token(text: str) -> str:
    """Return `text` without the token, for logs and messages."""
    secret = token()
    return text.replace(secret, "***") if isinstance(secret, str) else text


def wait_seconds(headers: Mapping[str, str], attempt: int) -> float:
    """Return the pause after a response 429; without a header, the pause doubles with `attempt` (from 0)."""
    from multidict import CIMultiDict  # installed with `datasets`, like aiohttp below

    from ..http.policy import MAX_BACKOFF, requested_pause

    seconds = requested_pause(429, CIMultiDict(headers), time.time())
    return min(2.0**attempt, MAX_BACKOFF) if seconds is None else seconds


def wait_out_limits() -> None:
    """Pause every request to the hub from this process after a response 429.

    `huggingface_hub` waits only in downloads, a few times, and ignores dates; its other calls and the calls
    of `datasets` fail at once. All of them use one HTTP client, in which this function waits.
    """
    global _waits_installed
    with _limits_lock:
        if _waits_installed:
            return
        from huggingface_hub import set_client_factory
        from huggingface_hub.utils._http import default_client_factory  # the public names lack it
        from huggingface_hub.utils.tqdm import disable_progress_bars

        def factory() -> Any:
            client: Any = default_client_factory()
            client.send = _waiting_send(client.send)
            return client

        disable_progress_bars()
        set_client_factory(factory)
        _waits_installed = True


def _waiting_send(send: Callable[..., Any]) -> Callable[..., Any]:
    def send_and_wait(request: Any, **options: Any) -> Any:
        waited, attempt = 0.0, 0
        while True:
            answer = send(request, **options)
            if answer.status_code != 429:
                return answer
            # A random addition spreads the requests of several workers.
            pause = wait_seconds(answer.headers, attempt) + random.uniform(0.05, 0.5)
            if waited + pause > MAX_WAIT:
                return answer
            answer.close()
            log.warning("the hub's rate limit: waiting %.1f s for %s", pause, request.url.path)
            time.sleep(pause)
            waited, attempt = waited + pause, attempt + 1

    return send_and_wait


class HubFiles(Files):
    """A dataset repository at one commit.

    Whole files are fetched into the hub's cache (HF_HOME) and reused from there; ranges are requested only
    for listings, and with `streaming`.
    """

    def __init__(self, repository: str, commit: str, *, streaming: bool = False) -> None:
        wait_out_limits()
        self.repository, self.commit, self.streaming = repository, commit, streaming
        self.whole = not streaming
        self._blobs: dict[str, str] | None = None

    @classmethod
    def at(cls, repository: str, revision: str | None, *, streaming: bool = False) -> HubFiles:
        """Resolve a branch, tag or commit of a repository; ConfigError if missing."""
        from huggingface_hub import HfApi
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

        files = cls(repository, "", streaming=streaming)
        with files.guarded(repository):
            try:
                found = HfApi(token=token()).resolve_revision(
                    repository, repo_type="dataset", revision=revision
                )
            except GatedRepoError as error:
                raise ConfigError(
                    f"{repository} is gated: ask for access on its page and set HF_TOKEN", key="dataset"
                ) from error
            except RepositoryNotFoundError as error:
                raise ConfigError(
                    f"the hub has no dataset {repository}, or only with a token in HF_TOKEN; "
                    "a local path that does not exist yet is written ./path",
                    key="dataset",
                ) from error
            except RevisionNotFoundError as error:
                raise ConfigError(f"{repository} has no revision {revision}", key="revision") from error
        log.info("%s: %s is commit %s", repository, revision or "the default branch", found.resolved)
        files.commit = found.resolved
        return files

    def uri(self, path: str) -> str:
        """Return the path and the start of its git id, so that a new commit keeps items of other files."""
        if self._blobs is None:
            self._blobs = self._tree()
        return f"{path}@{self._blobs.get(path, self.commit)[:12]}"

    def revision(self, path: str) -> str:
        """Return the start of the content's git id."""
        return self.uri(path).rpartition("@")[2]

    def image_revision(self, path: str) -> str | None:
        """As `revision`."""
        revision = self.revision(path)
        return revision if self._blobs and path in self._blobs else None

    def path(self, uri: str) -> str:
        """Return the path before the `@` of the git id."""
        return uri.rpartition("@")[0]

    def fetch(self, path: str) -> Path:
        """Return the file in the hub's cache; only a missing file causes requests to the hub."""
        from huggingface_hub import hf_hub_download

        with self.guarded(path):
            return Path(
                hf_hub_download(
                    self.repository, path, repo_type="dataset", revision=self.commit, token=token()
                )
            )

    def open(self, path: str, *, parts: bool) -> Path | IO[bytes]:
        """Open the file in the hub's cache, or as ranges: exact with `parts`, large with `streaming`."""
        from huggingface_hub import HfFileSystem, try_to_load_from_cache

        cached = try_to_load_from_cache(self.repository, path, repo_type="dataset", revision=self.commit)
        if isinstance(cached, str):
            return Path(cached)
        if not (parts or self.streaming):
            return self.fetch(path)
        with self.guarded(path):
            stream: IO[bytes] = HfFileSystem(token=token()).open(
                f"datasets/{self.repository}@{self.commit}/{path}",
                cache_type="none" if parts else "readahead",
                block_size=BLOCK,
            )
            return stream

    def trouble(self, path: str, error: Exception) -> FileTrouble | None:
        """Return the failure of the hub's response, else as on disk; messages omit the token."""
        import httpx2
        from huggingface_hub import errors

        cause: BaseException | None = error
        while cause is not None:
            reason = None
            if isinstance(cause, errors.RemoteEntryNotFoundError):
                reason = Reason.MISSING
            elif isinstance(cause, errors.HfHubHTTPError):
                status = cause.response.status_code
                reason = (
                    Reason.HTTP_429
                    if status == 429
                    else Reason.HTTP_5XX
                    if status >= 500
                    else Reason.HTTP_4XX
                )
            elif isinstance(cause, httpx2.TimeoutException):
                reason = Reason.TIMEOUT
            elif isinstance(cause, httpx2.TransportError):
                reason = Reason.CONNECTION
            if reason is not None:
                return FileTrouble(
                    reason, without_token(f"{path}: {str(cause).strip() or type(cause).__name__}")
                )
            cause = cause.__cause__ or cause.__context__
        found = super().trouble(path, error)
        return found and FileTrouble(found.reason, without_token(found.detail))

    def _tree(self) -> dict[str, str]:
        """Git ids by path. The listing is stored in the hub's cache, so downloads need no HEAD request."""
        from huggingface_hub import get_cached_repo_tree, snapshot_download

        with self.guarded(self.repository):
            snapshot_download(
                self.repository,
                repo_type="dataset",
                revision=self.commit,
                allow_patterns=["README.md"],
                token=token(),
            )
            tree = get_cached_repo_tree(self.repository, repo_type="dataset", revision=self.commit)
        return {file.path: file.blob_id for file in tree}
