"""Which addresses may be dialled that somebody else has named."""

import pytest

from proxy.directory.allowed_hosts import allowed_hosts

OWN = "10.9.9.9"


def is_own(address: str) -> bool:
    return address == OWN


def refused(allowed: list[str], host: str, address: str) -> str | None:
    return allowed_hosts(allowed, ["entry.example"], "ui.example").address_refusal(host, address, is_own)


NAMES_IT = ", and no network of discovery.allowed_hosts names it"


@pytest.mark.parametrize(
    ("allowed", "host", "address"),
    [
        (["10.0.0.0/8"], "10.0.1.100", "10.0.1.100"),
        (["10.0.1.100"], "10.0.1.100", "10.0.1.100"),
        (["192.168.0.0/16", "fd00::/8"], "fd00::1", "fd00::1"),
        (["10.0.0.0/8"], "::ffff:10.0.1.1", "::ffff:10.0.1.1"),
        (["10.0.0.0/8"], "anything.example", "10.0.1.100"),
        (["example"], "example", "192.0.2.1"),
        (["example"], "api.prod.example", "192.0.2.1"),
        ([".example"], "prod.example", "192.0.2.1"),
        # A network that lies in a special range names it, as does one of a single own address.
        (["127.0.0.0/8"], "127.0.0.1", "127.0.0.1"),
        (["127.0.0.1/32"], "localhost", "127.0.0.1"),
        (["127.0.0.1/32"], "::ffff:127.0.0.1", "::ffff:127.0.0.1"),
        (["::1"], "::1", "::1"),
        (["169.254.7.0/24"], "169.254.7.7", "169.254.7.7"),
        (["fe80::/10"], "x.example", "fe80::1%eth0"),
        ([OWN], OWN, OWN),
        (["entry.example", OWN], "entry.example", OWN),
        (["10.0.1.1"], "entry.example", "10.0.1.1"),
    ],
)  # fmt: skip
def test_what_may_be_dialled(allowed, host, address):
    assert refused(allowed, host, address) is None


@pytest.mark.parametrize(
    ("allowed", "host", "address", "reason"),
    [
        ([], "10.0.1.100", "10.0.1.100", "10.0.1.100 is outside discovery.allowed_hosts"),
        (["10.0.0.0/8"], "192.0.2.1", "192.0.2.1", "192.0.2.1 is outside discovery.allowed_hosts"),
        (["10.0.0.0/8"], "good.example", "192.0.2.1", "192.0.2.1 is outside discovery.allowed_hosts"),
        (["example"], "badexample", "192.0.2.1", "192.0.2.1 is outside discovery.allowed_hosts"),
        (["example"], "example.org", "192.0.2.1", "192.0.2.1 is outside discovery.allowed_hosts"),
        ([".example"], "example", "192.0.2.1", "192.0.2.1 is outside discovery.allowed_hosts"),
        (["fd00::/8"], "10.0.1.1", "10.0.1.1", "10.0.1.1 is outside discovery.allowed_hosts"),
        # An allowed name that leads there (DNS rebinding), and networks that contain it without meaning it.
        (["example"], "x.example", "127.0.0.1", "127.0.0.1 is loopback" + NAMES_IT),
        (["example"], "x.example", "::1", "::1 is loopback" + NAMES_IT),
        (["0.0.0.0/0"], "127.0.0.1", "127.0.0.1", "127.0.0.1 is loopback" + NAMES_IT),
        (["0.0.0.0/0"], "::ffff:127.0.0.1", "::ffff:127.0.0.1", "127.0.0.1 is loopback" + NAMES_IT),
        (["127.0.0.0/8"], "::1", "::1", "::1 is loopback" + NAMES_IT),
        (["::/0"], "::1", "::1", "::1 is loopback" + NAMES_IT),
        (["0.0.0.0/0"], "169.254.169.254", "169.254.169.254", "169.254.169.254 is link-local" + NAMES_IT),
        (["example"], "x.example", "fe80::1%eth0", "fe80::1%eth0 is link-local" + NAMES_IT),
        (["0.0.0.0/0"], "0.0.0.0", "0.0.0.0", "0.0.0.0 is unspecified" + NAMES_IT),
        (["::/0"], "::", "::", ":: is unspecified" + NAMES_IT),
        (["0.0.0.0/0"], "224.0.0.1", "224.0.0.1", "224.0.0.1 is multicast" + NAMES_IT),
        (["example"], "x.example", "ff02::1", "ff02::1 is multicast" + NAMES_IT),
        (["0.0.0.0/0"], "255.255.255.255", "255.255.255.255", "255.255.255.255 is reserved" + NAMES_IT),
        # NAT64 of 127.0.0.1: somebody else's loopback.
        (["example"], "x.example", "64:ff9b::7f00:1", "64:ff9b::7f00:1 is reserved" + NAMES_IT),
        (["10.0.0.0/8"], OWN, OWN, f"{OWN} is the proxy's own" + NAMES_IT),
        (["example"], "x.example", OWN, f"{OWN} is the proxy's own" + NAMES_IT),
        (["10.0.0.0/8"], "::ffff:10.9.9.9", "::ffff:10.9.9.9", f"{OWN} is the proxy's own" + NAMES_IT),
        (["example"], "entry.example", "10.0.1.1", "10.0.1.1 is the proxy's own" + NAMES_IT),
        (["10.0.0.0/8"], "grafana.prod.team-a.ui.example", "10.0.1.1", "10.0.1.1 is the proxy's own" + NAMES_IT),
    ],
)  # fmt: skip
def test_what_may_not_be_dialled(allowed, host, address, reason):
    assert refused(allowed, host, address) == reason


@pytest.mark.parametrize(
    ("allowed", "host", "reason"),
    [
        ([], "api.example", "api.example is outside discovery.allowed_hosts"),
        (["other.example"], "api.example", "api.example is outside discovery.allowed_hosts"),
        # Where there are networks, the addresses decide.
        (["10.0.0.0/8"], "api.example", None),
        (["example"], "api.example", None),
        (["10.0.0.0/8"], "192.0.2.1", "192.0.2.1 is outside discovery.allowed_hosts"),
        (["10.0.0.0/8"], OWN, f"{OWN} is the proxy's own" + NAMES_IT),
    ],
)
def test_a_name_that_cannot_be_allowed_need_not_be_resolved(allowed, host, reason):
    assert allowed_hosts(allowed).host_refusal(host, is_own) == reason
