"""The base of every options model: unknown keys are errors, values are immutable."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """A section of the configuration, or a part of one."""

    model_config = ConfigDict(extra="forbid", frozen=True)
