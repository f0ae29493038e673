"""Names of fields that only the proxy may set: the contract's list, in any spelling, looked for twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.managed import HOP_BY_HOP, is_managed, left_over

# Section 5 of the contract, with an example for each star.
MANAGED = [
    "Authorization",
    "Impersonate-User",
    "Impersonate-Group",
    "Impersonate-Uid",
    "Impersonate-Extra-Scopes",
    "Impersonate",
    "ImpersonateUser",
    "X-Remote-User",
    "X-Remote-Group",
    "X-Remote-Extra-Scopes",
    "X-WEBAUTH-USER",
    "X-WEBAUTH-ROLE",
    "X-WEBAUTH-EMAIL",
    "X-Auth-Request-User",
    "X-Auth-Request-Groups",
    "X-Auth-Request-Access-Token",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Uri",
    "X-Forwarded-User",
    "X-Forwarded-Client-Cert",
    "X-Forwarded-Access-Token",
    "Forwarded",
    "X-Real-IP",
    "X-Original-URL",
    "X-Original-Method",
    "X-Original-Host",
    "X-Rewrite-URL",
    "X-HTTP-Method-Override",
    "Remote-User",
    "Remote-Groups",
    "True-Client-IP",
    "X-Client-IP",
    "X-Client-Cert",
    "SSL-Client-Cert",
    "SSL-Client-Verify",
]
# What frames a message, names its target or its trace: ours to say.
OURS = ["Host", "Content-Length", "Expect", "X-Request-Id", "traceparent", "tracestate", "X-HTTP-Method", "X-Method-Override"]
HOP = [
    "Connection",
    "Keep-Alive",
    "Proxy-Connection",
    "Proxy-Authorization",
    "Proxy-Authenticate",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "HTTP2-Settings",
]
HARMLESS = [
    "Accept",
    "Content-Type",
    "Cookie",
    "Origin",
    "X-Requested-With",
    "X-Remote",
    "X-Client",
    "X-Original",
    "X-Webauthn",
    "X-Forward",
    "Forwarder",
    "Authorization-Hint",
    "Removed-User",
    "If-Match",
    "Kubectl-Session",
    "Sec-WebSocket-Protocol",
]


def spellings(name: str) -> list[str]:
    return [name, name.lower(), name.upper(), name.swapcase()]


@pytest.mark.parametrize("name", [*MANAGED, *OURS, *HOP])
def test_a_managed_name_is_known_in_lower_case(name: str) -> None:
    assert is_managed(name.lower().encode())


@pytest.mark.parametrize("name", [*MANAGED, *OURS, *HOP])
def test_a_managed_name_is_seen_again_in_what_is_to_be_sent(name: str) -> None:
    for spelling in spellings(name):
        for before in (b"", b"Accept: */*\r\n"):
            assert left_over(before + spelling.encode() + b": value\r\n"), spelling


@pytest.mark.parametrize("name", HARMLESS)
def test_any_other_name_goes_through(name: str) -> None:
    assert not is_managed(name.lower().encode())
    assert not left_over(f"{name}: impersonate-user: x\r\n".encode())


def test_the_hop_by_hop_names_are_managed() -> None:
    assert all(is_managed(name) for name in HOP_BY_HOP)


PREFIXES = [
    "impersonate",
    "x-remote-",
    "x-webauth-",
    "x-auth-request-",
    "x-forwarded-",
    "x-original-",
    "x-client-",
    "ssl-client-",
]
REST = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-", max_size=20)


@given(st.sampled_from(PREFIXES), REST, st.randoms())
def test_no_name_with_a_managed_beginning_survives_either_look(prefix: str, rest: str, random) -> None:
    name = "".join(letter.upper() if random.random() < 0.5 else letter for letter in prefix) + rest
    assert is_managed(name.lower().encode())
    assert left_over(f"Accept: a\r\n{name}: b\r\n".encode())


@given(REST.filter(bool))
def test_the_two_looks_agree(name: str) -> None:
    if left_over(f"{name}: a\r\n".encode()):
        assert is_managed(name.lower().encode())
