"""The kinds of text and number that the configuration knows. Each validator refuses with a remedy and repairs nothing."""

import ipaddress
import re
from collections.abc import Sized
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator

from proxy.directory.build import is_address, is_host, parse_server_url
from proxy.issuers.keys import SUPPORTED_ALGORITHMS
from proxy.routing.paths import is_dns_label, is_dns_subdomain
from proxy.settings.store_url import parse_store_url

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

# What the wire sets by itself, or what would change the meaning of the message.
_RESERVED_HEADERS = re.compile(
    r"accept.*|authorization|connection|content-.*|cookie|date|expect|forwarded|host|impersonate.*|keep-alive|proxy-.*|sec-.*|te|"
    r"trailer|trace(parent|state)|transfer-encoding|upgrade.*|via|x-forwarded-(for|host|port|proto)|x-request-id"
)

_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+", re.ASCII)
_VISIBLE = re.compile(r"[!-~](?:[ -~]*[!-~])?", re.ASCII)


def is_loopback(host: str) -> bool:
    """Tell whether a host cannot be another machine."""
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)


def is_exposed(url: str) -> bool:
    """Tell whether what is sent to a URL can be read on its way; False for what is no URL."""
    try:
        parts = parse_server_url(url)
    except ValueError:
        return False
    return parts.scheme == "http" and not is_loopback(parts.host)


def parse_network(text: object) -> Network:
    """Read a CIDR, or an address as the network of that one address; raises ValueError with the remedy."""
    if isinstance(text, ipaddress.IPv4Network | ipaddress.IPv6Network):
        return text
    if not isinstance(text, str):
        raise ValueError("must be a text such as 10.0.0.0/8")  # noqa: TRY004 - pydantic reports a ValueError and lets a TypeError through
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"not a network such as 10.0.0.0/8 ({error})") from None


def _claim_value(given: object) -> object:
    if not isinstance(given, str | bool | int | float | list | dict):
        raise ValueError("must be a value that JSON has, and not null")  # noqa: TRY004 - pydantic reports a ValueError and lets a TypeError through
    return given


def _not_empty(items: Sized) -> Sized:
    if not items:
        raise ValueError("must name at least one")
    return items


def _number(given: object) -> object:
    # YAML's true is not one, and a text that came from the environment may hold digits.
    if isinstance(given, bool):
        raise ValueError("must be a number")  # noqa: TRY004 - pydantic reports a ValueError and lets a TypeError through
    return given


def _text(pattern: re.Pattern[str], remedy: str) -> AfterValidator:
    def check(text: str) -> str:
        if pattern.fullmatch(text) is None:
            raise ValueError(remedy)
        return text

    return AfterValidator(check)


def _prefix(text: str) -> str:
    if re.fullmatch(r"[!-~]*", text, re.ASCII) is None:
        raise ValueError("must be visible ASCII without spaces")
    # Kubernetes binds its own powers to `system:…` names; a prefix must not begin one, whole or in part.
    if text and (text.startswith("system:") or "system:".startswith(text)):
        raise ValueError("must not begin like system:, which Kubernetes keeps for itself")
    return text


def _namespace(text: str) -> str:
    if not is_dns_label(text):
        raise ValueError("not a namespace: lower-case letters, digits and inner hyphens, at most 63")
    return text


def _cluster_name(text: str) -> str:
    if not is_dns_subdomain(text):
        raise ValueError("not a cluster name: lower-case letters, digits, inner hyphens and dots")
    return text


def _management_cluster(text: str) -> str:
    namespace, slash, name = text.partition("/")
    if namespace != "default" or not slash or not is_dns_subdomain(name):
        raise ValueError("must have the form default/<name>: the management cluster lies in project default")
    return text


def _host_name(text: str) -> str:
    if not is_host(text):
        raise ValueError("not a host name: lower case, without scheme, port, path and trailing dot")
    return text


def _domain(text: str) -> str:
    if is_address(text) or not is_host(text):
        raise ValueError("not a domain: lower case, without scheme, port, wildcard and dots around it")
    return text


def _address(text: str) -> str:
    if not is_address(text):
        raise ValueError("not an IP address such as 127.0.0.1, 0.0.0.0 or ::")
    return text


def _server_url(text: str) -> str:
    parse_server_url(text)
    return text


def _public_url(text: str) -> str:
    parse_server_url(text)
    if text.count("/") != len("//"):
        raise ValueError("must have no path and no slash at its end: the proxy is served at the root of its host")
    return text


def _algorithm(text: str) -> str:
    # Asymmetric ones alone: a key set's public keys must never serve as HMAC secrets.
    if text not in SUPPORTED_ALGORITHMS:
        raise ValueError(f"must be one of {', '.join(sorted(SUPPORTED_ALGORITHMS))}")
    return text


def _header_name(text: str) -> str:
    if _HEADER_NAME.fullmatch(text) is None:
        raise ValueError("not a header name: letters, digits and hyphens")
    if _RESERVED_HEADERS.fullmatch(text.lower()):
        raise ValueError("this header has a meaning of its own: name another")
    return text


def _allowed_host(text: str) -> str:
    try:
        parse_network(text)
    except ValueError:
        _domain(text.removeprefix("."))
    return text


def _session_store(text: str) -> str:
    parse_store_url(text)
    return text


NOT_EMPTY = AfterValidator(_not_empty)

Name = Annotated[str, _text(_VISIBLE, "must be visible ASCII and not empty")]
Prefix = Annotated[str, AfterValidator(_prefix)]
Namespace = Annotated[str, AfterValidator(_namespace)]
ClusterName = Annotated[str, AfterValidator(_cluster_name)]
ManagementCluster = Annotated[str, AfterValidator(_management_cluster)]
HostName = Annotated[str, AfterValidator(_host_name)]
Domain = Annotated[str, AfterValidator(_domain)]
Address = Annotated[str, AfterValidator(_address)]
ServerUrl = Annotated[str, AfterValidator(_server_url)]
PublicUrl = Annotated[str, AfterValidator(_public_url)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
AllowedHost = Annotated[str, AfterValidator(_allowed_host)]
SessionStore = Annotated[str, AfterValidator(_session_store)]
ClaimValue = Annotated[object, PlainValidator(_claim_value)]
Cidr = Annotated[Network, PlainValidator(parse_network)]
Algorithm = Annotated[str, AfterValidator(_algorithm)]

Port = Annotated[int, BeforeValidator(_number), Field(ge=0, le=65535)]
Count = Annotated[int, BeforeValidator(_number), Field(ge=1)]
Duration = Annotated[float, BeforeValidator(_number), Field(gt=0, allow_inf_nan=False)]
DurationOrZero = Annotated[float, BeforeValidator(_number), Field(ge=0, allow_inf_nan=False)]
Leeway = Annotated[float, BeforeValidator(_number), Field(ge=0, le=600, allow_inf_nan=False)]
