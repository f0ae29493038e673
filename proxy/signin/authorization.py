"""The two ends of an authorization code flow in the browser: the request that goes to the issuer, and what it sends back."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from proxy.signin.attempts import Attempt
from proxy.signin.failures import IssuerRefused, NotBelieved
from proxy.signin.metadata import Metadata
from proxy.signin.settings import SignInSettings

_MOST_PARAMETERS: Final = 32


def authorization_url(settings: SignInSettings, metadata: Metadata, attempt: Attempt, state: str) -> str:
    """Return the address at which the user signs in (OpenID Connect Core 1.0 section 3.1.2.1, RFC 7636)."""
    return str(
        prepare_grant_uri(
            metadata.authorization_endpoint,
            settings.client_id,
            "code",
            redirect_uri=settings.redirect_uri,
            scope=" ".join(settings.scopes),
            state=state,
            nonce=attempt.nonce,
            code_challenge=create_s256_code_challenge(attempt.verifier),
            code_challenge_method="S256",
        )
    )


def parameters(text: str) -> Mapping[str, str]:
    """Return the parameters of a query or a form; none at all if one occurs twice (RFC 6749 section 3.1) or there are too many."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        return {}
    found = dict(pairs)
    return found if len(found) == len(pairs) else {}


def code_in(answer: Mapping[str, str], metadata: Metadata) -> str:
    """Return the code that the issuer sent; raises IssuerRefused, or NotBelieved when another issuer sent it.

    RFC 9207 section 2.4: without the check an issuer that is in league with an attacker could be handed the codes of this one.
    """
    named = answer.get("iss")
    if named is None and metadata.authorization_response_iss_parameter_supported:
        raise NotBelieved("the answer does not name its issuer")
    if named is not None and named != metadata.issuer:
        raise NotBelieved(f"the answer came from another issuer, {named!r:.200}")
    if "error" in answer:
        raise IssuerRefused(answer["error"], answer.get("error_description", ""))
    code = answer.get("code")
    if not code:
        raise NotBelieved("the answer holds neither a code nor an error")
    return code
