"""Blocks spiders' connections to addresses that are not public, by checking each resolved address."""

# ruff: noqa: N802, N803 - names of Twisted's interfaces

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from scrapy.resolver import CachingHostnameResolver
from twisted.internet.interfaces import IAddress, IHostResolution, IResolutionReceiver

from ..http.addresses import Addresses, PrivateAddressError

if TYPE_CHECKING:
    from scrapy.crawler import Crawler
    from twisted.internet.base import ReactorBase

REFUSED_HOSTS: set[str] = set()
"""Hosts of this process's crawl with an address that is not public."""


class PublicResolver(CachingHostnameResolver):
    """Resolves a name only if all its addresses are public or allowed (TWISTED_DNS_RESOLVER).

    Twisted connects to exactly the addresses resolved here, for every connection and thus for every
    redirect, including literal addresses and their unusual spellings: no second look-up can return a
    different address.
    """

    def __init__(self, reactor: ReactorBase, cache_size: int, addresses: Addresses) -> None:
        super().__init__(reactor, cache_size)
        self._visitable = addresses

    @classmethod
    def from_crawler(cls, crawler: Crawler, reactor: ReactorBase) -> PublicResolver:
        """As Scrapy builds it."""
        allowed = [ip_network(network) for network in crawler.settings.getlist("DERLEM_ALLOW_PRIVATE")]
        return cls(reactor, crawler.settings.getint("DNSCACHE_SIZE"), Addresses(allowed))

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """Resolve, and pass either all addresses or none to the receiver."""
        checked: Any = _Checked(resolutionReceiver, hostName, self._visitable)
        return super().resolveHostName(checked, hostName, portNumber, addressTypes, transportSemantics)


class _Checked:
    """Passes addresses to the receiver after all of them are checked."""

    def __init__(self, receiver: Any, host: str, visitable: Addresses) -> None:
        self._receiver, self._host, self._visitable = receiver, host, visitable
        self._addresses: list[Any] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        self._receiver.resolutionBegan(resolutionInProgress)

    def addressResolved(self, address: IAddress) -> None:
        self._addresses.append(address)

    def resolutionComplete(self) -> None:
        try:
            for address in self._addresses:
                self._visitable.check(address.host, self._host)
        except PrivateAddressError:
            REFUSED_HOSTS.add(self._host)
        else:
            for address in self._addresses:
                self._receiver.addressResolved(address)
        self._receiver.resolutionComplete()
