"""Reads the evaluation pictures that a sample excludes, through the adapters that sampling may not see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import ValidationError

from ..adapters.base import Context, SourceOptions
from ..adapters.registry import adapter_class
from ..core.errors import ConfigError
from ..media.image_options import ImageOptions
from ..pipeline.evaluation_hashes import UnreadPictures
from ..pipeline.hash_cache import kept_hashes
from ..pipeline.progress import meter
from ..sampling.exclusion import Fingerprint, Fingerprinter, read_hashes
from ..sampling.sample_options import Exclusion


def fingerprinter(context: Context, image: ImageOptions, *, keep: bool) -> Fingerprinter:
    """What gives the fingerprints of any exclusion; ConfigError where one cannot be read.

    With `keep` those of pictures are kept in the workspace for the next time.
    """

    def fingerprints(exclusion: Exclusion) -> Iterable[Fingerprint]:
        if exclusion.hashes is not None:
            return read_hashes(exclusion)
        return _of_pictures(exclusion, context, image, keep)

    return fingerprints


def _of_pictures(
    exclusion: Exclusion, context: Context, image: ImageOptions, keep: bool
) -> Iterator[Fingerprint]:
    try:
        with meter(f"hash {exclusion.label}") as shown:
            for found in kept_hashes(_as_source(exclusion), context, image, keep=keep):
                yield Fingerprint(sha256=found.sha256, dhash=found.dhash)
                if found.original_sha256 != found.sha256:
                    yield Fingerprint(sha256=found.original_sha256)
                shown.advance(1)
    except UnreadPictures as error:
        message = f"the pictures of {exclusion.label} cannot be excluded: {error}"
        raise ConfigError(message, key="sample.exclude") from error


def _as_source(exclusion: Exclusion) -> SourceOptions:
    """The exclusion as a source that is never declared."""
    declared: dict[str, Any]
    if exclusion.folder is not None:
        declared = {"adapter": "files", "path": exclusion.folder}
    else:
        declared = {
            "adapter": "huggingface",
            "dataset": exclusion.dataset,
            "split": exclusion.split,
            "columns": {"image": exclusion.column},
            **({"revision": exclusion.revision} if exclusion.revision else {}),
        }
    declared |= {"name": "excluded", "license": "LicenseRef-Excluded"}
    try:
        return adapter_class(declared["adapter"]).Options.model_validate(declared)
    except ValidationError as error:
        message = f"{exclusion.label}: {error.errors()[0]['msg']}"
        raise ConfigError(message, key="sample.exclude") from error
