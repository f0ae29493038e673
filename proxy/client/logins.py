"""What this machine knows of the entries that its user signed in to: one private file each, the tokens in it or in the keyring.

kubectl waits for this module at each call: it imports little.
"""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from proxy.client.entry import Entry
from proxy.client.errors import ClientError, NotSignedIn
from proxy.client.private_files import check_private, locked, make_folder, read_private, write_private
from proxy.client.system_keyring import Keyring, forget_secret, keyring_in_use, read_secret, write_secret

IN_FILE: Final = "file"

_LATEST_MOMENT: Final = 253_402_300_799  # the end of the year 9999, the last that RFC 3339 can write


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the issuer gave: `id_token` is the bearer token; moments are its `iat` and `exp`, in seconds since the epoch."""

    id_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    subject: str
    issued_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Login:
    """A sign-in at one entry; without `tokens` only what is needed for the next one.

    `place` is where the tokens are, IN_FILE or the name of a keyring's backend. `authority` is PEM: whom else to believe, beside the system's authorities, that entry and issuer are who they say.
    """

    entry: Entry
    issuer: str
    client_id: str
    scopes: tuple[str, ...]
    authority: str | None = field(repr=False)
    place: str
    tokens: Tokens | None


class Logins:
    """All sign-ins in one folder. `keyring` gives a backend by its name, and is asked only where tokens are in one."""

    def __init__(self, folder: Path, keyring: Callable[[str], Keyring] = keyring_in_use) -> None:
        self.folder, self._keyring = folder, keyring

    def __repr__(self) -> str:
        return f"Logins({self.folder})"

    def entry(self, url: str | None) -> Entry:
        """Return the entry that is meant, without a URL the only one there is; raises ClientError."""
        if url is not None:
            return Entry.parse(url)
        known = [login.entry for path in sorted(self.folder.glob("*.json")) if (login := self._read(path)) is not None]
        if not known:
            raise NotSignedIn("not signed in anywhere; run: mosk-proxy login https://YOUR-ENTRY")
        if len(known) > 1:
            raise ClientError(f"there are several entries, name one of them: {', '.join(entry.url for entry in known)}")
        return known[0]

    def load(self, entry: Entry) -> Login | None:
        """Return what is known of an entry, None if nothing is; raises ClientError when its file or the keyring is not in order."""
        if not self.folder.exists():
            return None
        check_private(self.folder, self.folder.stat(), "chmod 700")
        login = self._read(self._path(entry))
        if login is not None and login.entry != entry:
            raise ClientError(f"{self._path(entry)}: is of {login.entry.url}; remove it and sign in again")
        return login

    def save(self, login: Login) -> None:
        """Keep a sign-in in place of the earlier one; raises ClientError and OSError."""
        make_folder(self.folder)
        path = self._path(login.entry)
        earlier, place = _place_of(path), IN_FILE if login.tokens is None else login.place
        if place != IN_FILE and login.tokens is not None:
            write_secret(self._keyring(place), login.entry.url, json.dumps(_tokens_document(login.tokens)))
        if earlier not in {IN_FILE, place}:
            forget_secret(self._keyring(earlier), login.entry.url)
        write_private(path, json.dumps(_document(login), indent=1).encode())

    def lock(self, entry: Entry) -> AbstractContextManager[int]:
        """Hold the right to change what is known of an entry; gives the descriptor of a file that is kept for whoever comes next."""
        make_folder(self.folder)
        return locked(self.folder / f"{entry.label}.lock")

    def _path(self, entry: Entry) -> Path:
        return self.folder / f"{entry.label}.json"

    def _read(self, path: Path) -> Login | None:
        content = read_private(path)
        if content is None:
            return None
        try:
            document = json.loads(content)
            entry = _entry(document)
            tokens = document.get("tokens")
            if document["place"] != IN_FILE:
                secret = read_secret(self._keyring(_text(document["place"])), entry.url)
                tokens = None if secret is None else json.loads(secret)
            return _login(document, entry, tokens)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ClientError(f"{path}: is not a sign-in that this version wrote; remove it and sign in again") from error


def _place_of(path: Path) -> str:
    """Return where the tokens of an earlier sign-in are; a file that cannot be understood is about to be replaced."""
    try:
        place = json.loads(read_private(path) or b"{}").get("place", IN_FILE)
    except (ValueError, AttributeError, RecursionError):
        return IN_FILE
    return place if isinstance(place, str) else IN_FILE


def _document(login: Login) -> dict[str, Any]:
    document: dict[str, Any] = {
        "url": login.entry.url,
        "issuer": login.issuer,
        "client_id": login.client_id,
        "scopes": login.scopes,
        "authority": login.authority,
        "place": login.place,
    }
    if login.place == IN_FILE and login.tokens is not None:
        document["tokens"] = _tokens_document(login.tokens)
    return document


def _tokens_document(tokens: Tokens) -> dict[str, Any]:
    return {name: getattr(tokens, name) for name in Tokens.__slots__}


def _entry(document: Any) -> Entry:
    try:
        return Entry.parse(_text(document["url"]))
    except ClientError as error:
        raise ValueError(str(error)) from error


def _login(document: Any, entry: Entry, tokens: Any) -> Login:
    return Login(
        entry,
        _text(document["issuer"]),
        _text(document["client_id"]),
        tuple(map(_text, document["scopes"])),
        None if document["authority"] is None else _text(document["authority"]),
        _text(document["place"]),
        None if tokens is None else _tokens(tokens),
    )


def _tokens(document: Any) -> Tokens:
    refresh_token = document["refresh_token"]
    return Tokens(
        _text(document["id_token"]),
        None if refresh_token is None else _text(refresh_token),
        _text(document["subject"]),
        _moment(document["issued_at"]),
        _moment(document["expires_at"]),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _moment(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value <= _LATEST_MOMENT:
        raise TypeError("not a moment")
    return value
