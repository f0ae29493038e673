"""Which addresses may be dialled that somebody else has named: the defence against requests to wherever an object points.

A name decides nothing by itself: it is the address it leads to that is dialled, and so it is the address that is judged. Addresses
with a meaning of their own, and the proxy's own, are never meant by accident: they need a network that names them and nothing else.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from proxy.directory.build import is_address

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
IsOwn: TypeAlias = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """Networks, and endings of names: `example` stands for itself and all below it, `.example` for what is below it.

    `own_names` are names of the proxy, `own_domain` has all names below it.
    """

    networks: tuple[Network, ...] = ()
    suffixes: tuple[str, ...] = ()
    own_names: frozenset[str] = frozenset()
    own_domain: str | None = None

    def host_refusal(self, host: str, is_own: IsOwn) -> str | None:
        """Tell why nothing behind `host` may be dialled, None where its addresses decide."""
        if is_address(host):
            return self.address_refusal(host, host, is_own)
        if self.networks or self._has_allowed_ending(host):
            return None
        return f"{host} is outside discovery.allowed_hosts"

    def address_refusal(self, host: str, address: str, is_own: IsOwn) -> str | None:
        """Tell why an address that `host` leads to may not be dialled, None when it may."""
        found = _plain(ip_address(address))
        kind = _kind(found)
        inside = [network for network in self.networks if found in network]
        if kind is not None:
            is_named = any(_kind(network[0]) == _kind(network[-1]) == kind for network in inside)
        elif self._is_own_name(host) or is_own(str(found)):
            kind = "the proxy's own"
            is_named = any(network.num_addresses == 1 for network in inside)
        else:
            is_allowed = bool(inside) or self._has_allowed_ending(host)
            return None if is_allowed else f"{found} is outside discovery.allowed_hosts"
        return None if is_named else f"{found} is {kind}, and no network of discovery.allowed_hosts names it"

    def _has_allowed_ending(self, host: str) -> bool:
        return any(_is_within(host, suffix) for suffix in self.suffixes)

    def _is_own_name(self, host: str) -> bool:
        return host in self.own_names or (self.own_domain is not None and _is_within(host, self.own_domain))


def allowed_hosts(texts: Iterable[str], own_names: Iterable[str] = (), own_domain: str | None = None) -> AllowedHosts:
    """Sort CIDRs from endings of names, which were checked to be one or the other."""
    networks, suffixes = [], []
    for text in texts:
        try:
            networks.append(ip_network(text))
        except ValueError:
            suffixes.append(text)
    return AllowedHosts(tuple(networks), tuple(suffixes), frozenset(own_names), own_domain)


def _is_within(host: str, suffix: str) -> bool:
    return host.endswith(suffix) if suffix.startswith(".") else host == suffix or host.endswith("." + suffix)


def _plain(address: Address) -> Address:
    # ::ffff:127.0.0.1 is dialled as 127.0.0.1.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _kind(address: Address) -> str | None:
    if address.is_loopback:
        return "loopback"
    if address.is_link_local:
        return "link-local"
    if address.is_unspecified:
        return "unspecified"
    if address.is_multicast:
        return "multicast"
    return "reserved" if address.is_reserved else None
