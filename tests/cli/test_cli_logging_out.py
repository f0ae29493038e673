import pytest
from client_issuer import ENTRY, Issuer, serving

from proxy.cli.logging_out import log_out
from proxy.client.errors import ClientError
from proxy.client.logins import Login, Tokens
from proxy.client.user import User


@pytest.fixture
def signed_in(tmp_path):
    def make(issuer: str, refresh_token: str | None = "r1") -> User:
        user = User({}, tmp_path)
        tokens = Tokens("id", refresh_token, "ann", 0, 300)
        user.logins.save(Login(ENTRY, issuer, "kaas", ("openid",), None, "file", tokens))
        return user

    return make


def test_the_session_is_ended_and_what_the_next_sign_in_needs_is_kept(signed_in, capsys):
    with serving(Issuer()) as issuer:
        issuer.refresh_tokens.add("r1")
        user = signed_in(issuer.url)
        assert log_out(user, ENTRY.url) == 0
        assert issuer.refresh_tokens == set()
        kept = user.logins.load(ENTRY)
        assert (kept.tokens, kept.issuer, kept.client_id) == (None, issuer.url, "kaas")
        assert log_out(user, None) == 0
    said = f"signed out of {ENTRY.url}; the session at the issuer is ended\nnot signed in to {ENTRY.url}\n"
    assert capsys.readouterr().out == said


def test_the_tokens_go_although_the_issuer_is_away(signed_in):
    user = signed_in("http://127.0.0.1:9/realm")
    with pytest.raises(
        ClientError, match=r"^the tokens are removed from here, but the session at the issuer goes on until it ends"
    ):
        log_out(user, ENTRY.url)
    assert user.logins.load(ENTRY).tokens is None


def test_an_issuer_without_revocation_is_told(signed_in, capsys):
    with serving(Issuer(metadata={"revocation_endpoint": None})) as issuer:
        assert log_out(signed_in(issuer.url), None) == 0
        said = f"signed out of {ENTRY.url}; {issuer.url} offers no way to end the session from here\n"
        assert capsys.readouterr().out == said


def test_without_a_refresh_token_there_is_nothing_to_revoke(signed_in):
    assert log_out(signed_in("http://127.0.0.1:9/realm", None), None) == 0
