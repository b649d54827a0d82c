"""Blocks requests to private networks: every address is checked before a connection.

A name is looked up once, every answer is checked, and the connection uses a checked address, so that DNS
rebinding has no effect. Address ranges: the IANA special-purpose registries (RFC 6890), IPv4-mapped IPv6
(RFC 4291), NAT64 (RFC 6052, 8215), 6to4 (RFC 3056).
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import AddrInfoType

LOOKUPS = 384
"""Maximum concurrent look-ups: `getaddrinfo` blocks a thread until its server answers, often longer than
the request's timeout. With three per connection, slow name servers do not delay other names.
"""

LOOKUP_STACK = 2**19
"""Bytes of a look-up thread's stack; small, since workers have an address space of a few GiB."""

_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_NOT_PUBLIC = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # Teredo, ORCHID and other protocol assignments
        "2001:db8::/32",
        "2002::/16",  # 6to4: the IPv4 address within is reached through a public relay
        "3fff::/20",
        "5f00::/16",
    )
)


class PrivateAddressError(OSError):
    """An address that is not on the public internet."""

    def __init__(self, host: str, address: str) -> None:
        self.host, self.address = host, address
        super().__init__(f"{host} is at {address}" if host != address else f"{address} is not public")


class Addresses:
    """Allows connections to public addresses and to the networks in `allow`."""

    def __init__(self, allow: Sequence[IPv4Network | IPv6Network] = ()) -> None:
        self._allow = tuple(allow)

    def check(self, address: str, host: str = "") -> None:
        """Raise PrivateAddressError unless `address` (text, with or without an IPv6 scope) is allowed."""
        found = ip_address(address.partition("%")[0])
        if not (is_public(found) or any(found in network for network in self._allow)):
            raise PrivateAddressError(host or address, address)

    def socket(self, info: AddrInfoType) -> socket.socket:
        """Return a socket for a connection to the address in `info`; every connection is checked here."""
        family, kind, protocol, _, address = info
        self.check(str(address[0]))
        return socket.socket(family=family, type=kind, proto=protocol)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Return whether an address is a unicast address on the public internet.

    IPv4 addresses inside IPv6 addresses (mapped, NAT64) are checked as IPv4 addresses.
    """
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address not in _UNICAST or any(address in network for network in _NOT_PUBLIC):
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


class Resolver(AbstractResolver):
    """Looks names up in the system's resolver, and rejects names with an address that is not allowed."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="derlem-dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return all addresses of `host`. Raises socket.gaierror or PrivateAddressError."""
        usual = threading.stack_size(LOOKUP_STACK)  # the executor starts threads on demand
        try:
            lookup = self._threads.submit(self._lookup, host, port, family)
        finally:
            threading.stack_size(usual)
        found = await asyncio.wrap_future(lookup)
        for answer in found:
            self._addresses.check(answer["host"], host)
        return found

    async def close(self) -> None:
        """Shut the threads down without waiting for active look-ups."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    @staticmethod
    def _lookup(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
        infos: list[Any] = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        return [
            ResolveResult(
                hostname=host,
                host=address[0],
                port=port,
                family=found,
                proto=protocol,
                flags=socket.AI_NUMERICHOST,
            )
            for found, _, protocol, _, address in infos
        ]
