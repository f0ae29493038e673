import base64
import hashlib

import pytest

from proxy.signin.failures import NotBelieved
from proxy.signin.id_token import Expected, check_id_token

EXPECTED = Expected("mosk-proxy", "the-nonce", "the-access-token")


def half(algorithm: str) -> str:
    digest = hashlib.new(algorithm, b"the-access-token").digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


def claims(**changes: object) -> dict:
    whole = {
        "sub": "ann",
        "aud": ["mosk-proxy", "kaas"],
        "azp": "mosk-proxy",
        "typ": "ID",
        "nonce": "the-nonce",
        "at_hash": half("sha256"),
    }
    return {name: value for name, value in (whole | changes).items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "algorithm"),
    [
        ({}, "RS256"),
        ({"aud": "mosk-proxy", "azp": None}, "RS256"),
        ({"aud": ["mosk-proxy"], "azp": None}, "RS256"),
        ({"typ": None}, "RS256"),
        ({"at_hash": None}, "RS256"),
        ({"at_hash": half("sha384")}, "ES384"),
        ({"at_hash": half("sha512")}, "PS512"),
        ({"at_hash": half("sha512")}, "EdDSA"),
    ],
)
def test_what_belongs_to_this_sign_in_is_taken(changes, algorithm):
    check_id_token(claims(**changes), algorithm, EXPECTED)


BAD = [
    ({"aud": "kaas", "azp": None}, "aud"),
    ({"aud": []}, "aud"),
    ({"azp": None}, "azp"),
    ({"azp": "kaas"}, "azp"),
    ({"azp": ["mosk-proxy"]}, "azp"),
    ({"typ": "Bearer"}, "typ"),
    ({"typ": 1}, "typ"),
    ({"nonce": None}, "nonce"),
    ({"nonce": ""}, "nonce"),
    ({"nonce": "another"}, "nonce"),
    ({"nonce": ["the-nonce"]}, "nonce"),
    ({"nonce": "the-nonce\ud800"}, "nonce"),
    ({"at_hash": "A" * 22}, "at_hash"),
    ({"at_hash": ""}, "at_hash"),
    ({"at_hash": 1}, "at_hash"),
]


@pytest.mark.parametrize(("changes", "claim"), BAD)
def test_what_does_not_is_not_believed(changes, claim):
    with pytest.raises(NotBelieved, match=claim):
        check_id_token(claims(**changes), "RS256", EXPECTED)


def test_a_renewal_goes_without_nonce_but_not_with_another():
    renewal = Expected("mosk-proxy", "the-nonce", "the-access-token", is_renewal=True)
    check_id_token(claims(nonce=None), "RS256", renewal)
    check_id_token(claims(), "RS256", renewal)
    with pytest.raises(NotBelieved, match="nonce"):
        check_id_token(claims(nonce="another"), "RS256", renewal)


def test_without_an_access_token_its_hash_says_nothing():
    check_id_token(claims(at_hash="whatever"), "RS256", Expected("mosk-proxy", "the-nonce"))
