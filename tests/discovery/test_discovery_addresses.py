"""Names are resolved here, and what was judged is what may be dialled."""

import asyncio
import logging
import socket
from collections.abc import Sequence

import pytest

from proxy.directory.allowed_hosts import allowed_hosts
from proxy.discovery.addresses import Addresses, is_own_address
from proxy.errors import BadGateway


class Zone:
    """Somebody else's zone: what a name leads to now."""

    def __init__(self, *addresses: str) -> None:
        self.addresses: Sequence[str] = addresses
        self.asked: list[str] = []

    async def look_up(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        return self.addresses


async def test_a_name_is_resolved_each_time_and_only_allowed_addresses_are_given_out(caplog: pytest.LogCaptureFixture) -> None:
    zone = Zone("10.0.1.1", "192.0.2.1", "127.0.0.1", "10.0.1.2")
    addresses = Addresses(allowed_hosts(["10.0.0.0/8"]), zone.look_up)
    for _ in range(2):
        assert await addresses.permitted("api.example") == ["10.0.1.1", "10.0.1.2"]
    zone.addresses = ("127.0.0.1",)
    with pytest.raises(BadGateway) as caught:
        await addresses.permitted("api.example")
    assert caught.value.message == "the upstream's address is not allowed"
    assert caught.value.detail.startswith("api.example: 127.0.0.1 is loopback")
    assert zone.asked == ["api.example"] * 3
    # Once for each thing that there is to say.
    loopback = "127.0.0.1 is loopback, and no network of discovery.allowed_hosts names it"
    assert caplog.messages == [
        f"api.example: ignored: {loopback}; 192.0.2.1 is outside discovery.allowed_hosts",
        f"api.example: ignored: {loopback}",
    ]


async def test_an_address_is_not_resolved_but_judged_all_the_same() -> None:
    zone = Zone()
    addresses = Addresses(allowed_hosts(["10.0.0.0/8"]), zone.look_up)
    assert list(await addresses.permitted("10.0.1.1")) == ["10.0.1.1"]
    with pytest.raises(BadGateway):
        await addresses.permitted("169.254.169.254")
    assert zone.asked == []


async def test_the_system_resolves() -> None:
    assert "127.0.0.1" in await Addresses(allowed_hosts(["127.0.0.0/8", "::1"])).permitted("localhost")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_this_machine_s_addresses_are_known(address: str) -> None:
    assert is_own_address(address)


def test_an_address_that_something_here_listens_on_is_an_own_one() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("no route to anywhere: this machine has no address but loopback")
        own = probe.getsockname()[0]
    assert is_own_address(own)


@pytest.mark.parametrize("address", ["192.0.2.1", "203.0.113.9", "255.255.255.255", "2001:db8::1", "fe80::1"])
def test_other_addresses_are_not_ours(address: str) -> None:
    assert not is_own_address(address)


async def test_asking_takes_no_time() -> None:
    """It is asked on the event loop, six times a cluster."""
    began = asyncio.get_running_loop().time()
    for last in range(200):
        is_own_address(f"192.0.2.{last}")
    assert asyncio.get_running_loop().time() - began < 0.2


async def test_what_is_told_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    addresses = Addresses(allowed_hosts(["10.0.0.0/8"]), Zone("10.0.0.1", "192.0.2.1").look_up)
    for number in range(10_050):
        addresses._told.tell(str(number), "x")
    assert len(addresses._told._told) <= 10_000
