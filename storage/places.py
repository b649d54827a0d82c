"""Addresses of places outside the machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BucketPlace:
    """A bucket and a prefix in it, without slashes at the ends; the prefix may be empty."""

    bucket: str
    prefix: str

    @classmethod
    def parse(cls, url: str) -> BucketPlace:
        """Parse `s3://bucket/prefix`; ValueError for anything else."""
        scheme, separator, rest = url.partition("://")
        bucket, _, prefix = rest.partition("/")
        if scheme != "s3" or not separator or not bucket:
            raise ValueError(f"{url!r} is not an address such as s3://bucket/prefix")
        if any(character in url for character in "?#@") or "//" in rest:
            raise ValueError(f"{url!r} has more than a bucket and a prefix (credentials have no place in it)")
        return cls(bucket, prefix.strip("/"))

    def key(self, name: str) -> str:
        """The key of an object below the prefix."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def name(self, key: str) -> str:
        """The name of an object below the prefix, from its key."""
        return key.removeprefix(f"{self.prefix}/") if self.prefix else key

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")
