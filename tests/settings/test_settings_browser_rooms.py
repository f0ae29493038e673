from base64 import b64encode
from pathlib import Path

import pytest

from proxy.sessions.redis_server import RedisServer
from proxy.sessions.settings import Lifetimes, SessionSettings
from proxy.settings import SettingsError
from proxy.settings.browser_rooms import session_settings, sign_in_settings
from proxy.settings.model import Settings
from proxy.settings.schema import apply
from proxy.signin.settings import SignInSettings

ISSUER = "https://keycloak.example/realms/iam"


@pytest.fixture
def settings(folder):
    """Settings of blocks that are right in themselves."""
    key_file = folder / "sessions.key"
    key_file.write_bytes(b64encode(bytes(32)))
    key_file.chmod(0o600)
    (folder / "client.secret").write_text("s3cret\n")

    def given(**blocks: object) -> Settings:
        base = {
            "public_url": "https://entry.example:8443",
            "issuers": [{"issuer": "https://other.example"}, {"issuer": ISSUER, "ca_file": "ca.crt"}],
        }
        outcome = apply(base | blocks, folder)
        assert isinstance(outcome, Settings), outcome
        return outcome

    return given


def test_sessions_are_kept_in_a_file_by_default(settings):
    assert session_settings(settings()) == SessionSettings(Path("/var/lib/mosk-proxy/sessions.db"), None, Lifetimes(1800, 43_200))


def test_sessions_are_kept_in_a_server(settings, folder):
    block = {
        "store": "rediss://mosk@cache:6380/1",
        "password_file": "client.secret",
        "ca_file": "ca.crt",
        "key_file": "sessions.key",
    }
    found = session_settings(settings(sessions=block | {"idle_minutes": 1, "lifetime_hours": 0.5}))
    server = RedisServer("cache", 6380, 1, is_tls=True, username="mosk", password="s3cret", ca_file=folder / "ca.crt")
    assert found == SessionSettings(server, folder / "sessions.key", Lifetimes(60, 1800))
    assert "s3cret" not in repr(found)


def test_a_client_signs_in_at_its_issuer_and_trusts_what_that_one_trusts(settings, folder):
    assert sign_in_settings(settings()) is None
    block = {
        "issuer": ISSUER,
        "client_id": "mosk-proxy",
        "client_secret_file": "client.secret",
        "redirect_hosts": ["grafana.example"],
    }
    found = sign_in_settings(settings(sign_in=block))
    assert found == SignInSettings(
        "https://entry.example:8443",
        ISSUER,
        "mosk-proxy",
        "s3cret",
        ("openid", "profile"),
        frozenset({"grafana.example"}),
        folder / "ca.crt",
    )
    assert found.redirect_uri == "https://entry.example:8443/oauth2/callback"
    assert "s3cret" not in repr(found)
    assert sign_in_settings(settings(sign_in={"issuer": ISSUER, "client_id": "public"})).client_secret is None


@pytest.mark.parametrize(("change", "message"), [(b"\xff", "is not UTF-8"), (None, "not found")])
def test_a_secret_that_has_changed_for_the_worse_is_told(settings, folder, change, message):
    found = settings(sign_in={"issuer": ISSUER, "client_id": "mosk-proxy", "client_secret_file": "client.secret"})
    (folder / "client.secret").unlink()
    if change is not None:
        (folder / "client.secret").write_bytes(change)
    with pytest.raises(SettingsError, match=f"sign_in.client_secret_file: {message}"):
        sign_in_settings(found)
