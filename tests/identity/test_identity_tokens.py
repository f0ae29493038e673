import base64
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import Unauthenticated
from proxy.identity import tokens

ACCEPTED = frozenset({"RS256", "PS256", "ES256", "EdDSA"})
RS256 = {"alg": "RS256", "kid": "rsa"}


def refusal(token, key=None):
    """The message of the refusal, wherever it comes."""
    try:
        compact = tokens.read(token, ACCEPTED)
        return "signature not valid" if tokens.verified_claims(compact, key) is None else None
    except Unauthenticated as error:
        return error.message


@pytest.mark.parametrize(("key", "algorithm"), [("rsa", "RS256"), ("rsa", "PS256"), ("p256", "ES256"), ("ed25519", "EdDSA")])
def test_a_signed_token_gives_its_claims(mint, public_key, key, algorithm):
    token = mint({"sub": "ann"}, key=key, algorithm=algorithm)
    compact = tokens.read(token, ACCEPTED)
    assert (compact.algorithm, compact.key_id) == (algorithm, key)
    assert tokens.verified_claims(compact, public_key(key)) == {"sub": "ann"}


@pytest.mark.parametrize("token_type", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"])
def test_types_of_tokens_that_speak_for_a_user(mint, public_key, token_type):
    assert refusal(mint({}, {**RS256, "typ": token_type}), public_key("rsa")) is None


# RFC 8725: each row is one way to be believed without the issuer's word.
@pytest.mark.parametrize(
    ("header", "algorithm", "message"),
    [
        ({"alg": "none"}, "none", "token algorithm not accepted"),
        ({"alg": "None", "kid": "rsa"}, "none", "token algorithm not accepted"),
        ({"alg": "HS256", "kid": "rsa"}, "HS256", "token algorithm not accepted"),
        ({"alg": "RS256", "kid": "rsa"}, "HS256", "signature not valid"),  # signed with the public key as secret
        ({"alg": "RS256", "kid": "rsa"}, "none", "signature not valid"),
        ({"alg": "RS384", "kid": "rsa"}, "RS384", "token algorithm not accepted"),  # supported, but not by this issuer
        ({"alg": "rs256", "kid": "rsa"}, "RS256", "token algorithm not accepted"),
        ({"alg": ["RS256"], "kid": "rsa"}, "RS256", "token algorithm not accepted"),
        ({"alg": None, "kid": "rsa"}, "RS256", "token algorithm not accepted"),
        ({"kid": "rsa"}, "RS256", "token algorithm not accepted"),
        ({"alg": "PS256", "kid": "rsa"}, "RS256", "signature not valid"),
        ({"alg": "ES256", "kid": "rsa"}, "RS256", "signature not valid"),
        ({"alg": "EdDSA", "kid": "rsa"}, "RS256", "signature not valid"),
        ({**RS256, "crit": ["exp"]}, "RS256", "token header not accepted"),
        ({**RS256, "crit": []}, "RS256", "token header not accepted"),
        ({**RS256, "b64": False}, "RS256", "token header not accepted"),
        ({**RS256, "b64": False, "crit": ["b64"]}, "RS256", "token header not accepted"),
        ({**RS256, "cty": "JWT"}, "RS256", "token header not accepted"),
        ({**RS256, "zip": "DEF"}, "RS256", "token header not accepted"),
        ({**RS256, "typ": "logout+jwt"}, "RS256", "token type not accepted"),
        ({**RS256, "typ": "secevent+jwt"}, "RS256", "token type not accepted"),
        ({**RS256, "typ": "application/jwt"}, "RS256", "token type not accepted"),
        ({**RS256, "typ": "dpop+jwt"}, "RS256", "token type not accepted"),
        ({**RS256, "typ": ""}, "RS256", "token type not accepted"),
        ({**RS256, "typ": None}, "RS256", "token type not accepted"),
        ({**RS256, "typ": ["JWT"]}, "RS256", "token type not accepted"),
        ({"alg": "RS256", "kid": 1}, "RS256", "token header not accepted"),
        ({"alg": "RS256", "kid": None}, "RS256", "token header not accepted"),
        ({"alg": "RS256", "kid": ""}, "RS256", "token header not accepted"),
        ({"alg": "RS256", "kid": "k" * 257}, "RS256", "token header not accepted"),
        (b'{"alg":"none","alg":"RS256","kid":"rsa"}', "RS256", "token malformed"),
        (b'{"alg":"RS256","\\u0061lg":"RS256","kid":"rsa"}', "RS256", "token malformed"),
        (b"[]", "RS256", "token malformed"),
        (b'"RS256"', "RS256", "token malformed"),
        (b"", "RS256", "token malformed"),
        (b"[" * 4000, "RS256", "token malformed"),
        (b'{"alg":"RS256","kid":"rsa","x5c":"' + b"x" * 8000 + b'"}', "RS256", "token malformed"),
    ],
)
def test_a_header_that_is_not_plain_is_refused(mint, public_key, header, algorithm, message):
    assert refusal(mint({}, header, algorithm=algorithm), public_key("rsa")) == message


def test_keys_in_the_header_are_not_looked_at(mint, public_key):
    # Signed by the attacker's own key, which the header offers in every way RFC 7515 knows.
    own = {"kty": "RSA", "n": "AQAB", "e": "AQAB"}
    header = {**RS256, "jwk": own, "jku": "https://evil.example/k", "x5u": "https://evil.example/c", "x5c": ["MII"], "x5t": "AA"}
    assert refusal(mint({}, header, key="rsa-other"), public_key("rsa")) == "signature not valid"
    # They do no harm to a token whose signature is good: they are ignored.
    assert refusal(mint({}, header), public_key("rsa")) is None


def test_a_curve_serves_its_own_algorithm_only(mint, public_key):
    token = mint({}, {"alg": "ES256", "kid": "p384"}, key="p384", algorithm="ES384")
    assert refusal(token, public_key("p384")) == "signature not valid"


def test_a_key_that_does_not_serve_the_algorithm_is_not_asked(mint):
    class AnyKey:
        key_id = None
        algorithms = frozenset({"PS256"})

        def verify(self, algorithm, signing_input, signature):
            return True

    assert refusal(mint({}), AnyKey()) == "signature not valid"


def test_one_changed_byte_is_noticed(mint, public_key):
    header, payload, signature = mint({"sub": "ann"}).split(b".")
    for changed in (
        b".".join((header, base64.urlsafe_b64encode(b'{"sub":"bob"}').rstrip(b"="), signature)),
        b".".join((base64.urlsafe_b64encode(b'{"kid":"rsa","alg":"RS256"}').rstrip(b"="), payload, signature)),
        b".".join((header, payload, signature[:-8])),
        b".".join((header, payload, b"")),
        b".".join((header, payload, signature[:-1] + b"=")),
    ):
        assert refusal(changed, public_key("rsa")) == "signature not valid"


@pytest.mark.parametrize(
    "token",
    [
        b"",
        b".",
        b"..",
        b"a.b",
        b"a.b.c.d",
        b"a.b.c.d.e",
        b"." * 60_000,
        b"a" * 60_000,
        b"eyJhbGciOiJSUzI1NiJ9" + b"." + b"a" * 10 + b"." + b"a" * 3000,
    ],
)
def test_what_is_no_compact_token_is_refused(token):
    assert refusal(token) == "token malformed"


@pytest.mark.parametrize("rest", [b"", b".", b".e30", b".e30.AAAA.AAAA", b"..e30.AAAA", b".e30..AAAA"])
def test_a_good_header_before_other_than_two_parts_is_refused(mint, rest):
    with pytest.raises(Unauthenticated, match="token malformed"):
        tokens.read(mint({}).split(b".")[0] + rest, ACCEPTED)


@pytest.mark.parametrize("key_id", ["k", "k" * 256, "../../etc/passwd", "ключ"])
def test_a_key_id_is_any_short_text(mint, key_id):
    assert tokens.read(mint({}, {"alg": "RS256", "kid": key_id}), ACCEPTED).key_id == key_id


def test_a_long_token_is_refused_unread():
    assert refusal(b"a" * 65_537) == "token too long"
    assert refusal(b"a" * 65_536) == "token malformed"


def spellings(segment):
    """Other spellings of the same base64url text that a lax decoder takes."""
    yield segment + b"="
    yield segment + b"=="
    yield segment[:-1] + bytes([segment[-1] + 1])  # spare bits set
    yield segment[:5] + b"\n" + segment[5:]
    yield segment[:5] + b" " + segment[5:]
    yield segment + b"\x00"
    yield segment[:5] + b"\\" + segment[5:]
    yield segment[:5] + b'"' + segment[5:]


def test_a_segment_has_one_spelling(mint, public_key):
    # `{}` and the header's last character both leave spare bits: E.g. "e30" is the only way to write {}.
    header, payload, signature = mint({"a": 1}, {"alg": "RS256", "kid": "rsa", "x": "y"}).split(b".")
    assert len(header) % 4 or len(payload) % 4
    for other in spellings(header):
        assert refusal(b".".join((other, payload, signature)), public_key("rsa")) == "token malformed"
    for other in spellings(signature):
        assert refusal(b".".join((header, payload, other)), public_key("rsa")) == "signature not valid"


class Believes:
    """A key that signs everything: what stands behind a good signature is still read strictly."""

    key_id = None
    algorithms = ACCEPTED

    def verify(self, algorithm, signing_input, signature):
        return True


@pytest.mark.parametrize("payload", [*spellings(b"eyJhIjoxfQ")])
def test_a_signed_payload_has_one_spelling_too(payload):
    token = base64.urlsafe_b64encode(b'{"alg":"RS256"}').rstrip(b"=") + b"." + payload + b".AAAA"
    assert refusal(token, Believes()) == "token malformed"


@pytest.mark.parametrize(
    "payload",
    [
        b'{"sub":"a","sub":"b"}',
        b'{"sub":"a","sub":"a"}',
        b'{"iss":"a","\\u0069ss":"b"}',
        b'{ "sub":"a", "sub":"b" }',
        b'{"realm":{"x":1,"x":2}}',
        b'{"list":[1,[{"x":1,"x":1}]]}',
        b'{"a":{"b":{"c":0,"\\u0063":0}}}',
        b'{"a":"\\/","x":1,"x":1}',
        b'{"exp":NaN}',
        b'{"exp":Infinity}',
        b'{"exp":-Infinity}',
        b'{"exp":1e999}',
        b'{"exp":01}',
        b"{'sub':'a'}",
        b'{"sub":"a"}x',
        b'{"sub":"a",}',
        b'{"sub":"a\nb"}',
        b'{"sub":"\\ud800x"}',
        b'{"sub":"\xed\xa0\x80"}',
        b'{"sub":"\xff"}',
        b"\xef\xbb\xbf{}",
        '{"sub":"a"}'.encode("utf-16"),
        '{"sub":"a"}'.encode("utf-16-le"),
        '{"sub":"a"}'.encode("utf-32-be"),
        b'{"a":' * 9_000,
        b"[" * 30_000,
        b'{"a":' + b"9" * 5000 + b"}",
        b"[]",
        b"null",
        b"1",
        b'"{}"',
        b"",
    ],
)
def test_a_signed_payload_that_is_no_plain_json_object_is_refused(mint, public_key, payload):
    assert refusal(mint(payload), public_key("rsa")) == "token malformed"


@pytest.mark.parametrize(
    "payload",
    [
        b'{"sub":"a","b":{"sub":"a"},"c":[{"sub":1},{"sub":2}]}',
        b' {"sub" : "a"}\n',
        b'{"name":"J\\u00f6rg \\ud83d\\ude00"}',
        '{"name":"Jörg 😀"}'.encode(),
        b'{"exp":1.0E9,"n":-0,"big":123456789012345678901234567890}',
        b'{"url":"https:\\/\\/a\\/b"}',
        b"{}",
    ],
)
def test_every_spelling_of_plain_json_is_read(mint, public_key, payload):
    compact = tokens.read(mint(payload), ACCEPTED)
    assert tokens.verified_claims(compact, public_key("rsa")) == json.loads(payload)


def test_the_payload_is_not_read_before_the_signature_is_good(mint, public_key):
    token = mint(b'{"sub":"a","sub":"b"}', {"alg": "RS256", "kid": "rsa"}, key="rsa-other")
    assert refusal(token, public_key("rsa")) == "signature not valid"


def test_the_claimed_issuer_is_found_without_belief(mint):
    assert tokens.claimed_issuer(tokens.read(mint({"sub": "a", "iss": "https://a"}), ACCEPTED)) == "https://a"
    assert tokens.claimed_issuer(tokens.read(mint({"sub": "a"}), ACCEPTED)) == ""


@pytest.mark.parametrize("payload", [b"", b"[]", b"{", b'{"iss":1}', b'{"a":' * 9_000, b"\xff"])
def test_no_issuer_is_claimed_by_what_cannot_be_read(mint, payload):
    with pytest.raises(Unauthenticated, match="token malformed"):
        tokens.claimed_issuer(tokens.read(mint(payload), ACCEPTED))


def test_a_refusal_never_holds_the_token(mint, public_key):
    token = mint({"sub": "ann"}, key="rsa-other", header=RS256)
    assert token.split(b".")[1].decode() not in repr(tokens.read(token, ACCEPTED))
    for hostile in (mint(b'["secret"]'), mint(b"secret"), mint({"a": "secret"}, {"alg": "none" * 100})):
        with pytest.raises(Unauthenticated) as caught:
            tokens.verified_claims(tokens.read(hostile, ACCEPTED), public_key("rsa"))
        assert len(caught.value.message) < 60
        assert len(caught.value.detail) < 200
        assert "secret" not in caught.value.detail
        assert hostile.split(b".")[1].decode() not in caught.value.detail


@pytest.mark.parametrize(
    "text",
    [
        b"AAA+",
        b"AA/A",
        b"AAA=",
        b"AA==",
        b"AA=A",
        b"A===",
        b"A",
        b"AAAAA",
        b"AB",
        b"AAB",
        b"AA A",
        b"AAA\n",
        b'AAA"',
        b"AA\\u0041",
        b"\\u0041" * 4,
        b"\\/" * 4,
        b"AA\xc3\xa4",
        b"\x00AAA",
        b"AAA.",
    ],
)
def test_no_other_spelling_of_base64url(text):
    with pytest.raises(ValueError):
        tokens.decode_base64url(text)


@given(st.binary(max_size=60))
def test_base64url_round_trip(data):
    assert tokens.decode_base64url(base64.urlsafe_b64encode(data).rstrip(b"=")) == data


@given(st.binary(max_size=40) | st.text('AQgwBC-_+/=\\" \n', max_size=12).map(str.encode))
def test_base64url_is_refused_or_the_only_spelling(text):
    try:
        decoded = tokens.decode_base64url(text)
    except ValueError:
        return
    assert base64.urlsafe_b64encode(decoded).rstrip(b"=") == text


@given(st.binary(max_size=200))
def test_no_token_does_more_than_be_refused(token):
    assert refusal(token, Believes()) is not None or token.count(b".") == 2


def test_sixty_kilobytes_of_hostile_token_cost_little(public_key):
    header = base64.urlsafe_b64encode(b'{"alg":"RS256","kid":"rsa"}').rstrip(b"=")
    hostile = header + b"." + b"a" * 60_000 + b"." + b"a" * 342
    key = public_key("rsa")
    best = min(_seconds(hostile, key) for _ in range(20))
    # 0.1 ms on a quiet machine; PyJWT's own loader takes thirty times as long.
    assert best < 0.001


def _seconds(token, key):
    began = time.perf_counter()
    refusal(token, key)
    return time.perf_counter() - began
