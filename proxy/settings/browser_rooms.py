"""From settings to the values of the rooms that browsers need: sessions and signin."""

from dataclasses import replace
from pathlib import Path

from proxy.sessions.settings import Lifetimes, SessionSettings
from proxy.settings.files import read
from proxy.settings.model import Settings
from proxy.settings.problems import Problem, SettingsError
from proxy.settings.store_url import parse_store_url
from proxy.signin.settings import SignInSettings

_SECONDS_PER_MINUTE = 60
_SECONDS_PER_HOUR = 3600


def session_settings(settings: Settings) -> SessionSettings:
    """Return where sessions are kept; raises SettingsError if a file has changed for the worse since the settings were read."""
    sessions = settings.sessions
    store = parse_store_url(sessions.store)
    if not isinstance(store, Path):
        password = _secret("sessions.password_file", sessions.password_file)
        store = replace(store, password=password, ca_file=sessions.ca_file)
    lifetimes = Lifetimes(sessions.idle_minutes * _SECONDS_PER_MINUTE, sessions.lifetime_hours * _SECONDS_PER_HOUR)
    return SessionSettings(store, sessions.key_file, lifetimes)


def sign_in_settings(settings: Settings) -> SignInSettings | None:
    """Return the client as which browsers are signed in, None without `sign_in`; raises as `session_settings` does."""
    sign_in = settings.sign_in
    if sign_in is None:
        return None
    authorities = {issuer.issuer: issuer.ca_file for issuer in settings.issuers}
    return SignInSettings(
        public_url=settings.public_url,
        issuer=sign_in.issuer,
        client_id=sign_in.client_id,
        client_secret=_secret("sign_in.client_secret_file", sign_in.client_secret_file),
        scopes=sign_in.scopes,
        redirect_hosts=frozenset(sign_in.redirect_hosts),
        ca_file=authorities.get(sign_in.issuer),
    )


def _secret(key: str, file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return read(file).strip().decode("utf-8")
    except UnicodeDecodeError:
        raise SettingsError([Problem(key, "is not UTF-8")]) from None
    except ValueError as error:
        raise SettingsError([Problem(key, str(error))]) from None
