import pytest
from scripted_issuer import query_of

from proxy.signin.attempts import new_attempt
from proxy.signin.authorization import authorization_url, code_in, parameters
from proxy.signin.failures import IssuerRefused, NotBelieved
from proxy.signin.metadata import Metadata
from proxy.signin.settings import SignInSettings

ISSUER = "https://keycloak.example/auth/realms/iam"
SILENT = Metadata(ISSUER, f"{ISSUER}/auth", f"{ISSUER}/token")
NAMES_ITSELF = Metadata(ISSUER, f"{ISSUER}/auth?kc=1", f"{ISSUER}/token", authorization_response_iss_parameter_supported=True)
SETTINGS = SignInSettings("https://entry.example", ISSUER, "mosk-proxy", scopes=("openid", "email"))


def test_a_request_has_pkce_state_and_nonce():
    attempt = new_attempt("/")
    url = authorization_url(SETTINGS, NAMES_ITSELF, attempt, "the-state")
    assert url.startswith(f"{ISSUER}/auth?kc=1&")
    sent = query_of(url)
    challenge = sent.pop("code_challenge")
    assert len(challenge) == 43
    assert challenge != attempt.verifier
    assert sent == {
        "kc": "1",
        "response_type": "code",
        "client_id": "mosk-proxy",
        "redirect_uri": "https://entry.example/oauth2/callback",
        "scope": "openid email",
        "state": "the-state",
        "nonce": attempt.nonce,
        "code_challenge_method": "S256",
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {}),
        ("a=1&b=&c", {"a": "1", "b": "", "c": ""}),
        ("a=1&a=2", {}),
        ("a=1&a=1", {}),
        ("a=%2F+%20", {"a": "/  "}),
        ("&".join(f"p{number}=" for number in range(33)), {}),
        ("a=%ff", {"a": "\ufffd"}),
    ],
)
def test_a_parameter_counts_once_or_none_does(query, expected):
    assert parameters(query) == expected


@pytest.mark.parametrize("metadata", [SILENT, NAMES_ITSELF])
def test_a_code_of_this_issuer_is_taken(metadata):
    assert code_in({"code": "abc", "iss": ISSUER}, metadata) == "abc"


def test_an_issuer_that_never_names_itself_need_not():
    assert code_in({"code": "abc"}, SILENT) == "abc"


@pytest.mark.parametrize(
    ("answer", "metadata"),
    [
        ({"code": "abc"}, NAMES_ITSELF),
        ({"code": "abc", "iss": "https://attacker.example"}, SILENT),
        ({"code": "abc", "iss": ISSUER + "/"}, NAMES_ITSELF),
        ({"error": "access_denied", "iss": "https://attacker.example"}, NAMES_ITSELF),
        ({"iss": ISSUER}, NAMES_ITSELF),
        ({}, SILENT),
    ],
)
def test_an_answer_of_somebody_else_is_not_believed(answer, metadata):
    with pytest.raises(NotBelieved):
        code_in(answer, metadata)


def test_an_error_of_the_issuer_is_its_own():
    with pytest.raises(IssuerRefused) as refusal:
        code_in({"error": "access_denied", "error_description": "by\r\nthe user", "iss": ISSUER, "code": "ignored"}, NAMES_ITSELF)
    assert (refusal.value.code, str(refusal.value)) == ("access_denied", "access_denied: by  the user")
