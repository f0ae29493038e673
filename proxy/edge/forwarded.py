"""Where a request came from: the peer, or what a proxy in front of us says, if that proxy is trusted."""

from ipaddress import ip_address

from proxy.edge.site import Networks
from proxy.routing.request_head import HeaderBlock
from proxy.wire.outbound import Client


def client_of(peer: str, block: HeaderBlock, scheme: str, trusted: Networks) -> Client:
    """Say where a request came from; forwarded fields are believed only from a peer in `trusted`."""
    if not trusted or not _is_in(peer, trusted):
        return Client.at(peer, scheme)
    chain = [part.strip().decode() for value in _values(block, b"x-forwarded-for") for part in value.split(b",")]
    protocols = _values(block, b"x-forwarded-proto")
    outer = protocols[0].decode() if len(protocols) == 1 and protocols[0] in {b"http", b"https"} else scheme
    return Client.at(_first_untrusted(chain, peer, trusted), outer)


def _values(block: HeaderBlock, lower_name: bytes) -> list[bytes]:
    return [value for name, value in block.fields if name.lower() == lower_name]


def _is_in(address: str, networks: Networks) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)


def _first_untrusted(chain: list[str], peer: str, trusted: Networks) -> str:
    """Walk the chain from our side; the first address that no trusted proxy vouches beyond is the client's."""
    client = peer
    for address in reversed(chain):
        if not _is_in(client, trusted):
            break
        try:
            client = str(ip_address(address))
        except ValueError:
            break
    return client
