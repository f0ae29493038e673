import base64

import pytest

from proxy.errors import Unauthenticated
from proxy.identity.credentials import bearer, without_bearer_protocol

PREFIX = b"base64url.bearer.authorization.k8s.io."
ENTRY = PREFIX + base64.urlsafe_b64encode(b"aa.bb.cc").rstrip(b"=")


@pytest.mark.parametrize(
    ("authorization", "protocols", "token"),
    [
        ([], [], None),
        ([b"Bearer aa.bb.cc"], [], b"aa.bb.cc"),
        ([b"bearer aa.bb.cc"], [], b"aa.bb.cc"),
        ([b"BEARER   aa.bb.cc"], [], b"aa.bb.cc"),
        ([b" Bearer aa.bb.cc\t"], [], b"aa.bb.cc"),
        ([b"Bearer AZaz09-._~+/=="], [], b"AZaz09-._~+/=="),
        ([], [b"v5.channel.k8s.io, v4.channel.k8s.io"], None),
        ([], [b"v5.channel.k8s.io, " + ENTRY], b"aa.bb.cc"),
        ([], [ENTRY + b",v5.channel.k8s.io"], b"aa.bb.cc"),
        ([], [ENTRY, b"v5.channel.k8s.io"], b"aa.bb.cc"),
        ([b"Bearer aa.bb.cc"], [b"v5.channel.k8s.io"], b"aa.bb.cc"),
    ],
)
def test_one_token_is_found_where_it_may_stand(authorization, protocols, token):
    assert bearer(authorization, protocols) == token


@pytest.mark.parametrize(
    ("authorization", "protocols"),
    [
        ([b""], []),
        ([b"   "], []),
        ([b"Bearer"], []),
        ([b"Bearer "], []),
        ([b"Bearer ="], []),
        ([b"Bearer a=b"], []),
        ([b"Bearer aa bb"], []),
        ([b"Bearer aa, Bearer bb"], []),
        ([b"Bearer\taa.bb.cc"], []),
        ([b'Bearer "aa.bb.cc"'], []),
        ([b"Bearer realm=x"], []),
        ([b"Bearer a\xc3\xa4.bb.cc"], []),
        ([b"Bearer aa.bb.cc\x00"], []),
        ([b"aa.bb.cc"], []),
        ([b"Basic YTpi"], []),
        ([b"Negotiate YTpi"], []),
        ([b"Bearer aa.bb.cc", b"Bearer aa.bb.cc"], []),
        ([b"Bearer aa.bb.cc", b""], []),
        ([b"Bearer aa.bb.cc"], [b"v5.channel.k8s.io, " + ENTRY]),
        ([], [ENTRY]),
        ([], [ENTRY + b", ,"]),
        ([], [b"v5.channel.k8s.io, " + ENTRY + b", " + ENTRY]),
        ([], [b"v5.channel.k8s.io, " + ENTRY, ENTRY]),
        ([], [b"v5.channel.k8s.io, " + PREFIX]),
        ([], [b"v5.channel.k8s.io, " + ENTRY + b"="]),
        ([], [b"v5.channel.k8s.io, " + PREFIX + b"YQ=="]),
        ([], [b"v5.channel.k8s.io, " + PREFIX + b"YR"]),  # spare bits: not canonical
        ([], [b"v5.channel.k8s.io, " + PREFIX + b"YWE+"]),
        ([], [b"v5.channel.k8s.io, " + PREFIX + base64.urlsafe_b64encode(b"a b")]),
        ([], [b"v5.channel.k8s.io, " + PREFIX + base64.urlsafe_b64encode("ä.b".encode()).rstrip(b"=")]),
    ],
)
def test_anything_else_is_refused(authorization, protocols):
    with pytest.raises(Unauthenticated):
        bearer(authorization, protocols)


def test_another_scheme_gets_no_error_code():
    with pytest.raises(Unauthenticated) as caught:
        bearer([b"Basic YTpi"])
    assert caught.value.error == ""


@pytest.mark.parametrize(
    ("line", "left"),
    [
        (b"v5.channel.k8s.io,  v4.channel.k8s.io ,", b"v5.channel.k8s.io,  v4.channel.k8s.io ,"),
        (b" v5.channel.k8s.io ", b" v5.channel.k8s.io "),
        (b"v5.channel.k8s.io, " + ENTRY + b",  v4.channel.k8s.io", b"v5.channel.k8s.io,  v4.channel.k8s.io"),
        (ENTRY + b", v5.channel.k8s.io", b"v5.channel.k8s.io"),
        (ENTRY.upper() + b", v5.channel.k8s.io", b"v5.channel.k8s.io"),
        (b"a, " + ENTRY + b", b, " + ENTRY, b"a, b"),
        (ENTRY, None),
        (b" " + ENTRY + b" ,", None),
    ],
)
def test_the_token_leaves_the_protocols_and_nothing_else_does(line, left):
    assert without_bearer_protocol(line) == left
