import json

import pytest

from proxy.signin.metadata import Metadata, UnusableMetadata, parse_metadata

ISSUER = "https://keycloak.example/realms/iam"
WHOLE = {"issuer": ISSUER, "authorization_endpoint": f"{ISSUER}/auth", "token_endpoint": f"{ISSUER}/token", "unknown": {"x": 1}}


def parsed(**changes: object) -> Metadata:
    return parse_metadata(json.dumps(WHOLE | changes).encode(), ISSUER)


def test_what_is_not_said_is_taken_as_the_specification_has_it():
    metadata = parsed()
    assert (metadata.end_session_endpoint, metadata.revocation_endpoint) == (None, None)
    assert metadata.authorization_response_iss_parameter_supported is False
    assert metadata.client_authentication("secret") == "client_secret_basic"


@pytest.mark.parametrize(
    ("supported", "secret", "method"),
    [
        (["client_secret_basic", "client_secret_post"], "s", "client_secret_basic"),
        (["private_key_jwt", "client_secret_post"], "s", "client_secret_post"),
        (["private_key_jwt"], "s", "client_secret_basic"),
        (["client_secret_basic"], None, "none"),
        (["none"], None, "none"),
    ],
)
def test_a_client_authenticates_as_the_issuer_supports_it(supported, secret, method):
    assert parsed(token_endpoint_auth_methods_supported=supported).client_authentication(secret) == method


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"issuer": ISSUER + "/"}, "names another issuer"),
        ({"issuer": "https://attacker.example"}, "names another issuer"),
        ({"token_endpoint": None}, "not a discovery document"),
        ({"authorization_endpoint": 1}, "not a discovery document"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "must be https"),
        ({"authorization_endpoint": "http://keycloak.example/auth"}, "must be https"),
        ({"token_endpoint": "http://127.0.0.1/token"}, "must be https, as the issuer is"),
        ({"end_session_endpoint": "file:///etc/passwd"}, "must be https"),
        ({"revocation_endpoint": "http://keycloak.example/revoke"}, "must be https"),
        ({"authorization_endpoint": "https://user:secret@keycloak.example/auth"}, "must be https"),
        ({"authorization_endpoint": "https://keycloak.example/auth#x"}, "not the URL of an endpoint"),
        ({"authorization_endpoint": "https://keycloak.example/a uth"}, "not the URL of an endpoint"),
        ({"authorization_endpoint": "https://keycloak.example/\r\nX: y"}, "not the URL of an endpoint"),
        ({"authorization_endpoint": "https://keycloak.example/é"}, "not the URL of an endpoint"),
    ],
)
def test_a_document_that_cannot_be_used_is_refused(changes, message):
    with pytest.raises(UnusableMetadata, match=message):
        parsed(**changes)


@pytest.mark.parametrize("document", [b"", b"<html>", b"[]", b"{}", b"[" * 100_000, b"\xff"])
def test_what_is_no_document_is_refused(document):
    with pytest.raises(UnusableMetadata, match="not a discovery document"):
        parse_metadata(document, ISSUER)


def test_on_loopback_plain_http_will_do():
    issuer = "http://127.0.0.1:8080"
    document = {"issuer": issuer, "authorization_endpoint": f"{issuer}/auth", "token_endpoint": f"{issuer}/token"}
    assert parse_metadata(json.dumps(document).encode(), issuer).issuer == issuer
