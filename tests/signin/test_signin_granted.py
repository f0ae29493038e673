import pytest
from scripted_issuer import CLIENT
from signin_desk import Desk, settings_for

from proxy.errors import Unauthenticated
from proxy.signin.failures import NotBelieved
from proxy.signin.granted import Visitor, granted
from proxy.signin.id_token import Expected
from proxy.signin.provider import TokenAnswer

EXPECTED = Expected(CLIENT, "the-nonce")
VISITOR = Visitor("Firefox", "192.0.2.7")


async def test_what_a_session_keeps_comes_from_the_verified_token(desk: Desk):
    token = desk.issuer.mint(nonce="the-nonce")
    answer = TokenAnswer(token, "access", "refresh")
    grant = await granted(desk.authenticator, settings_for(desk.issuer.url), answer, EXPECTED, VISITOR)
    assert (grant.identity.username, grant.identity.session_id, grant.generation) == (
        "ann",
        "sid-1",
        desk.authenticator.generation,
    )
    kept = grant.contents
    assert (kept.id_token, kept.refresh_token, kept.nonce) == (token, "refresh", "the-nonce")
    assert (kept.issued_at, kept.expires_at) == (desk.clock.now, desk.clock.now + 300)
    assert (kept.device, kept.address) == ("Firefox", "192.0.2.7")


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é.é.é", "\ud800"])
async def test_what_is_no_token_is_refused(desk: Desk, token):
    with pytest.raises(Unauthenticated):
        await granted(desk.authenticator, settings_for(desk.issuer.url), TokenAnswer(token), EXPECTED, VISITOR)


async def test_without_an_id_token_there_is_nothing_to_keep(desk: Desk):
    with pytest.raises(NotBelieved, match="scope openid"):
        await granted(desk.authenticator, settings_for(desk.issuer.url), TokenAnswer(None, "access"), EXPECTED, VISITOR)


async def test_an_id_token_of_an_issuer_that_nobody_was_sent_to_is_not_believed(desk: Desk):
    """Mix-up: the token is good, and of an issuer whose bearer tokens are believed; it has no business here."""
    token = desk.issuer.mint(nonce="the-nonce")
    with pytest.raises(NotBelieved, match="another issuer"):
        await granted(desk.authenticator, settings_for("https://other.example"), TokenAnswer(token), EXPECTED, VISITOR)
