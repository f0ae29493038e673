"""The authorization code flow with PKCE (RFC 6749 section 4.1, RFC 7636, RFC 9700 section 2.1.1) of a command on the user's machine."""

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from proxy.client.errors import ClientError, printable
from proxy.client.id_token import display_name
from proxy.client.issuer import Granted, Issuer, Metadata
from proxy.client.loopback import Loopback, listening

WAIT_SECONDS: Final = 300
_MOST_PARAMETERS: Final = 20


@dataclass(frozen=True, slots=True)
class Attempt:
    """What binds one sign-in to this process: `state` the browser's answer, `nonce` the ID token, `verifier` the code."""

    state: str = field(default_factory=secrets.token_urlsafe, repr=False)
    nonce: str = field(default_factory=secrets.token_urlsafe, repr=False)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)

    @property
    def challenge(self) -> str:
        """The S256 code challenge."""
        return str(create_s256_code_challenge(self.verifier))

    def url(self, issuer: Issuer, scopes: tuple[str, ...], redirect_uri: str) -> str:
        """Return the address at which the user signs in."""
        return str(
            prepare_grant_uri(
                issuer.metadata.authorization_endpoint,
                issuer.client_id,
                "code",
                redirect_uri=redirect_uri,
                scope=" ".join(scopes),
                state=self.state,
                nonce=self.nonce,
                code_challenge=self.challenge,
                code_challenge_method="S256",
            )
        )

    def is_answered_by(self, query: str) -> bool:
        """Tell whether a query carries the state of this attempt."""
        return hmac.compare_digest(_parameters(query).get("state", "").encode("utf-8", "replace"), self.state.encode())


def code_of(query: str, metadata: Metadata) -> str:
    """Return the code in the issuer's answer; raises ClientError when it brought none, or is another issuer's (RFC 9207)."""
    parameters = _parameters(query)
    named = parameters.get("iss", None if metadata.authorization_response_iss_parameter_supported else metadata.issuer)
    if named != metadata.issuer:
        raise ClientError(f"the answer came from another issuer, {printable(named)}")
    if error := parameters.get("error"):
        description = parameters.get("error_description")
        raise ClientError(f"{metadata.issuer} refused: {printable(f'{error}: {description}' if description else error)}")
    code = parameters.get("code")
    if not code:
        raise ClientError(f"{metadata.issuer} answered without a code")
    return code


def _parameters(query: str) -> dict[str, str]:
    """Return the parameters of a query; none at all if one occurs twice (RFC 6749 section 3.1)."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        return {}
    parameters = dict(pairs)
    return parameters if len(parameters) == len(pairs) else {}


async def sign_in_with_browser(
    issuer: Issuer,
    scopes: tuple[str, ...],
    show: Callable[[str], None],
    *,
    redirect_uri: str | None = None,
    seconds: float = WAIT_SECONDS,
) -> Granted:
    """Let the user sign in at the URL that is given to `show`; raises ClientError."""
    attempt = Attempt()
    async with listening(attempt.is_answered_by, redirect_uri) as loopback:
        show(attempt.url(issuer, scopes, loopback.redirect_uri))
        query = await loopback.answer(seconds)
        try:
            granted = await _exchanged(issuer, attempt, loopback, code_of(query, issuer.metadata))
        except ClientError as error:
            loopback.conclude("Not signed in", str(error), is_good=False)
            raise
        loopback.conclude("Signed in", f"You are {display_name(granted.claims)}. You may close this page.", is_good=True)
        return granted


async def _exchanged(issuer: Issuer, attempt: Attempt, loopback: Loopback, code: str) -> Granted:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": loopback.redirect_uri,
        "code_verifier": attempt.verifier,
    }
    return await issuer.granted(await issuer.ask_for_tokens(form), nonce=attempt.nonce)
