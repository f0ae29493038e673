import pytest

from proxy.client.errors import SessionEnded
from proxy.client.logins import Tokens
from proxy.client.refreshing import refreshed


def test_a_refresh_needs_no_event_loop_of_its_caller(issuer, make_login):
    issuer.refresh_tokens.add("r1")
    login = make_login(Tokens("old", "r1", "f150d839", 0, 300), issuer=issuer.url)
    new = refreshed(login)
    assert new.refresh_token in issuer.refresh_tokens
    with pytest.raises(SessionEnded):
        refreshed(login)
    with pytest.raises(SessionEnded):
        refreshed(make_login(None))
