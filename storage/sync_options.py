"""The `sync:` section: the bucket that a workspace is copied to, and how."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, ByteSize, Field, model_validator

from ..core.options import StrictModel
from .places import BucketPlace


def _is_place(url: str) -> str:
    BucketPlace.parse(url)
    return url


class EncryptionOptions(StrictModel):
    """Server-side encryption of the objects; without this section, the bucket's own setting applies."""

    kind: Literal["AES256", "aws:kms"] = Field(default="AES256", description="key of S3, or a key of KMS")
    kms_key: str | None = Field(default=None, description="id or ARN of the KMS key; default: the account's")

    @model_validator(mode="after")
    def _key_of_kms(self) -> EncryptionOptions:
        if self.kms_key is not None and self.kind != "aws:kms":
            raise ValueError("kms_key needs `kind: aws:kms`")
        return self


class SyncOptions(StrictModel):
    """A copy of the workspace in a bucket, pushed after every commit; one instance works at a time."""

    url: Annotated[str, AfterValidator(_is_place)] = Field(description="such as s3://bucket/prefix")
    endpoint_url: str | None = Field(default=None, description="of a server other than Amazon's")
    region: str | None = Field(default=None, description="default: as the environment or profile declares")
    snapshot_seconds: float = Field(
        default=3600.0,
        gt=0,
        description="minimum time between copies of the catalog, which make a restore faster",
    )
    snapshots: int = Field(default=3, ge=1, description="number of copies of the catalog that are kept")
    bandwidth: ByteSize | None = Field(
        default=None, ge=1, description="maximum bytes per second, such as 20MB, in each direction"
    )
    encryption: EncryptionOptions | None = None
    corpora: bool = Field(default=False, description="copy the corpora, too; a build can write them again")
    cache: bool = Field(default=False, description="copy fetched bytes, too")
    transfers: int = Field(default=8, ge=1, le=64, description="concurrent transfers")
    lease_seconds: float = Field(
        default=30.0, ge=1, description="time after which the lease of an instance that was lost expires"
    )
    grace_seconds: float = Field(
        default=4.0, ge=0, description="time for the last push when a signal ends the command"
    )
    interruption_notice: bool = Field(
        default=False, description="end the run in order when EC2 announces that it stops the instance"
    )
