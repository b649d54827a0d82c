"""Private networks cannot be reached by any form of an address, redirect or answer of a name server."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derlem.adapters.http.addresses import Addresses, PrivateAddressError, is_public
from derlem.adapters.http.urls import literal
from derlem.catalog.models import Payload
from derlem.catalog.status import Reason

VECTORS = [
    "169.254.169.254",
    "[fd00:ec2::254]",
    "100.100.100.200",
    "169.254.170.2",
    "0.0.0.0",
    "[::]",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::]",
    "[2001:0:7f00:1::]",
    "[fe80::1]",
    "[ff02::1]",
    "224.0.0.1",
    "255.255.255.255",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.1.",
    "１２７.0.0.1",
    "localhost",
]


@pytest.fixture
def listener() -> Iterator[Any]:
    """Listens on all local addresses and records connections."""
    knocks: list[Any] = []
    listening = socket.create_server(("", 0), family=socket.AF_INET)
    port = listening.getsockname()[1]
    sockets = [listening]
    if socket.has_dualstack_ipv6():
        sockets.append(socket.create_server(("::", port), family=socket.AF_INET6))

    def listen(on: socket.socket) -> None:
        while True:
            try:
                knocks.append(on.accept()[1])
            except OSError:
                return

    threads = [threading.Thread(target=listen, args=(on,), daemon=True) for on in sockets]
    for thread in threads:
        thread.start()
    yield port, knocks
    for on in sockets:
        on.shutdown(socket.SHUT_RDWR)
        on.close()
    for thread in threads:
        thread.join()


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses for which a socket was created, the only possible targets of packets."""
    made: list[str] = []
    original = Addresses.socket

    def watched(self: Addresses, info: Any) -> socket.socket:
        opened = original(self, info)
        made.append(info[4][0])
        return opened

    monkeypatch.setattr(Addresses, "socket", watched)
    return made


def test_no_form_of_an_address_reaches_a_private_network(
    fetch: Any, listener: Any, connections: list[str]
) -> None:
    port, knocks = listener
    urls = [f"http://{host}:{port}/x" for host in VECTORS]
    results = fetch(*urls, allow_private=[], retries=2)
    assert {url: result.reason for url, result in results.items()} == dict.fromkeys(
        urls, Reason.PRIVATE_ADDRESS
    )
    assert (connections, knocks) == ([], [])


def test_no_redirect_reaches_a_private_network(
    fetch: Any, listener: Any, server: Any, connections: list[str]
) -> None:
    port, knocks = listener
    targets = [f"http://{host}:{port}/x" for host in VECTORS]
    urls = [server.url(f"to/{quote(target, safe='')}", "127.0.0.2") for target in targets]
    results = fetch(*urls, allow_private=["127.0.0.2"])
    assert {result.reason for result in results.values()} == {Reason.PRIVATE_ADDRESS}
    assert set(connections) == {"127.0.0.2"}
    assert knocks == []


def test_dns_rebinding(
    fetch: Any, server: Any, connections: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that resolves first to an allowed address, then to a private address."""
    answers = [["127.0.0.2"], ["127.0.0.1"], ["127.0.0.2", "127.0.0.1"]]

    def lookup(host: str, port: int, **_: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answers[0]]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    urls = [server.url(f"ok/{number}", "fickle.example") for number in range(3)]
    assert isinstance(fetch(urls[0], allow_private=["127.0.0.2"])[urls[0]], Payload)
    connections.clear()
    for url in urls[1:]:
        answers.pop(0)
        assert fetch(url, allow_private=["127.0.0.2"])[url].reason is Reason.PRIVATE_ADDRESS
    assert connections == []
    assert server.of("fickle.example", files=False)[0].address == "127.0.0.2"
    assert len(server.of("fickle.example", files=False)) == 1


@given(st.ip_addresses(v=4))
def test_historical_forms_are_the_same_address(address: ipaddress.IPv4Address) -> None:
    value = int(address)
    first, rest = value >> 24, value & 0xFFFFFF
    for spelling in (str(value), hex(value), f"0{value:o}", f"{first}.{rest}", f"{first:#x}.0{rest:o}"):
        assert literal(spelling) == address


@given(st.ip_addresses())
def test_embedded_ipv4_addresses_are_checked(address: Any) -> None:
    if address.version == 4:
        for wrapped in (f"::ffff:{address}", f"64:ff9b::{address}"):
            assert is_public(ipaddress.IPv6Address(wrapped)) == is_public(address)
    if is_public(address):
        assert address.is_global
        assert not (
            address.is_loopback or address.is_private or address.is_multicast or address.is_link_local
        )


def test_only_listed_networks_are_allowed() -> None:
    addresses = Addresses([ipaddress.ip_network("127.0.0.1/32"), ipaddress.ip_network("fd00::/64")])
    addresses.check("127.0.0.1")
    addresses.check("fd00::5")
    addresses.check("93.184.215.14")
    for refused in ("127.0.0.2", "fd00:0:0:1::5", "10.0.0.1", "::1"):
        with pytest.raises(PrivateAddressError):
            addresses.check(refused)
