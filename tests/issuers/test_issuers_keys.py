import base64
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, OKPAlgorithm, RSAAlgorithm

from proxy.issuers.keys import SUPPORTED_ALGORITHMS, UnusableKeySet, parse_key_set

RSA_PRIVATE = rsa.generate_private_key(65537, 2048)
RSA = RSAAlgorithm.to_jwk(RSA_PRIVATE.public_key(), as_dict=True)
RSA.pop("key_ops")
OTHER = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048).public_key(), as_dict=True)
WEAK = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key(), as_dict=True)
P256 = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True)
P384 = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key(), as_dict=True)
P521 = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP521R1()).public_key(), as_dict=True)
K256 = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256K1()).public_key(), as_dict=True)
ED25519 = OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate().public_key(), as_dict=True)
ED448 = OKPAlgorithm.to_jwk(ed448.Ed448PrivateKey.generate().public_key(), as_dict=True)
OCT = HMACAlgorithm.to_jwk(b"k" * 32, as_dict=True)
GOOD = {**OTHER, "kid": "good"}


def parse(*keys, algorithms=SUPPORTED_ALGORITHMS):
    return parse_key_set(json.dumps({"keys": keys}).encode(), algorithms)


@pytest.mark.parametrize(
    ("jwk", "algorithms"),
    [
        (RSA, {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
        ({**RSA, "alg": "RS256"}, {"RS256"}),
        ({**RSA, "alg": "PS512", "use": "sig", "key_ops": ["verify"]}, {"PS512"}),
        (P256, {"ES256"}),
        (P384, {"ES384"}),
        (P521, {"ES512"}),
        (ED25519, {"EdDSA"}),
        (ED448, {"EdDSA"}),
    ],
)
def test_what_a_key_may_serve(jwk, algorithms):
    assert parse(jwk).keys[0].algorithms == algorithms


def test_a_key_verifies_what_it_serves_and_nothing_else():
    signature = jwt.get_algorithm_by_name("RS256").sign(b"text", RSA_PRIVATE)
    key = parse(RSA).keys[0]
    assert key.verify("RS256", b"text", signature)
    assert not key.verify("RS256", b"Text", signature)
    assert not key.verify("RS256", b"text", b"")
    assert not key.verify("PS256", b"text", signature)
    assert not parse({**RSA, "alg": "PS256"}).keys[0].verify("RS256", b"text", signature)
    assert not key.verify("none", b"text", b"")


def test_the_issuer_limits_the_algorithms():
    assert parse(RSA, algorithms={"PS256", "ES256"}).keys[0].algorithms == {"PS256"}


@pytest.mark.parametrize(
    ("jwk", "reason"),
    [
        (WEAK, "1024 bits are too few"),
        (OCT, "symmetric"),
        (RSAAlgorithm.to_jwk(RSA_PRIVATE, as_dict=True), "private"),
        ({**RSA, "use": "tls"}, "not for signatures"),
        ({**RSA, "use": None}, "not for signatures"),
        ({**RSA, "key_ops": ["encrypt"]}, "not for verifying"),
        ({**RSA, "key_ops": []}, "not for verifying"),
        ({**RSA, "key_ops": "verify"}, "not for verifying"),
        ({**RSA, "alg": "RSA-OAEP"}, "is not accepted for it"),
        ({**RSA, "alg": "none"}, "is not accepted for it"),
        ({**RSA, "alg": "HS256"}, "is not accepted for it"),
        ({**RSA, "alg": "ES256"}, "is not accepted for it"),
        ({**P256, "alg": "ES384"}, "is not accepted for it"),
        ({**P256, "crv": "P-384"}, "not parsable"),
        (K256, "is not supported"),
        ({**RSA, "kty": "XYZ"}, "is not supported"),
        ({**RSA, "kty": ["RSA"]}, "is not supported"),
        ({"kty": "RSA"}, "incomplete"),
        ({**RSA, "n": 5}, "incomplete"),
        ({**RSA, "n": "A" * 3000}, "incomplete"),
        ({**RSA, "n": "!!"}, "not parsable"),
        ({**RSA, "e": "AQ"}, "not parsable"),
        ({**P256, "x": P256["y"]}, "not parsable"),
        ({**P256, "x": "AA"}, "not parsable"),
        ({**ED25519, "x": "AA"}, "not parsable"),
        ({**RSA, "kid": 7}, "kid is not a text"),
        ("key", "not an object"),
        (None, "not an object"),
    ],
)
def test_an_unusable_key_is_left_out_by_name_and_spoils_no_other(jwk, reason):
    key_set = parse(jwk, GOOD)
    assert [key.key_id for key in key_set.keys] == ["good"]
    assert len(key_set.left_out) == 1
    assert reason in key_set.left_out[0]


def test_a_left_out_key_is_named_by_its_id_or_its_place():
    key_set = parse(GOOD, OCT, {**OCT, "kid": "old"}, "key")
    assert key_set.left_out == ("key 1: symmetric", "kid 'old': symmetric", "key 3: not an object")


def test_a_key_for_encryption_is_passed_over_in_silence():
    key_set = parse({**RSA, "use": "enc", "alg": "RSA-OAEP"}, GOOD)
    assert [key.key_id for key in key_set.keys] == ["good"]
    assert key_set.left_out == ()


@pytest.mark.parametrize("second", [OTHER, RSA, WEAK, P256])
def test_a_kid_that_names_two_keys_names_none(second):
    key_set = parse({**RSA, "kid": "twice"}, {**second, "kid": "twice"}, GOOD)
    assert [key.key_id for key in key_set.keys] == ["good"]
    assert "kid 'twice': names several keys" in key_set.left_out


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"keys":{}}',
        b'{"keys":[]}',
        b"[" * 50_000,
        b'{"keys":' + b"[" * 50_000,
        b"\xff",
        json.dumps({"keys": [OCT, WEAK]}).encode(),
        json.dumps({"keys": [ED25519] * 101}).encode(),
    ],
)
def test_a_document_without_usable_keys_is_refused(document):
    with pytest.raises(UnusableKeySet):
        parse_key_set(document, SUPPORTED_ALGORITHMS)


def test_a_key_is_selected_by_its_id_and_its_algorithm():
    key_set = parse({**RSA, "kid": "a"}, {**P256, "kid": "b"}, {**ED25519, "kid": "c", "alg": "EdDSA"})
    assert key_set.select("RS256", "a").key_id == "a"
    assert key_set.select("PS256", "a").key_id == "a"
    assert key_set.select("ES256", "a") is None
    assert key_set.select("RS256", "b") is None
    assert key_set.select("ES256", "d") is None
    assert key_set.knows("b")
    assert not key_set.knows("d")


def test_without_a_kid_exactly_one_key_must_fit():
    one = parse({**RSA, "kid": "a"}, {**P256, "kid": "b"})
    assert one.select("RS256", None).key_id == "a"
    assert one.select("ES384", None) is None
    two = parse({**RSA, "kid": "a"}, {**OTHER, "kid": "b"})
    assert two.select("RS256", None) is None


def test_keys_are_equal_when_nothing_that_matters_differs():
    key = parse({**RSA, "kid": "a"}).keys[0]
    assert key == parse({"kid": "a", **RSA, "use": "sig", "x5t": "AA"}).keys[0]
    assert key != parse({**OTHER, "kid": "a"}).keys[0]
    assert key != parse({**RSA, "kid": "b"}).keys[0]
    assert key != parse({**RSA, "kid": "a", "alg": "RS256"}).keys[0]


def test_the_thumbprint_is_that_of_rfc_7638():
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs"
        "tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajr"
        "n1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    key = parse({"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}).keys[0]
    assert base64.urlsafe_b64encode(key.thumbprint).rstrip(b"=") == b"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["RSA", "EC", "OKP", "P-256", "sig", "AQAB"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
_members = st.sampled_from(["kty", "crv", "n", "e", "x", "y", "d", "kid", "alg", "use", "key_ops"])


@given(
    st.lists(
        _json | st.dictionaries(_members, _json) | st.dictionaries(_members, _json).map(lambda odd: {**RSA, **odd}), max_size=3
    )
)
def test_whatever_stands_in_a_set_the_good_key_is_read(odd):
    assert "good" in [key.key_id for key in parse(*odd, GOOD).keys]
