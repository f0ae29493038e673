import json
import stat

import pytest
from client_issuer import ENTRY

from proxy.client.entry import Entry
from proxy.client.errors import ClientError, NotSignedIn
from proxy.client.logins import Logins, Tokens

TOKENS = Tokens("id", "refresh", "ann", 1_000, 1_300)


class Memory:
    """A keyring."""

    def __init__(self):
        self.kept = {}

    def get_password(self, service, username):
        return self.kept.get((service, username))

    def set_password(self, service, username, password):
        self.kept[service, username] = password

    def delete_password(self, service, username):
        del self.kept[service, username]


def test_a_sign_in_is_kept(logins, make_login):
    login = make_login(TOKENS, authority="PEM", scopes=("openid", "x"))
    assert logins.load(ENTRY) is None
    logins.save(login)
    assert logins.load(ENTRY) == login
    file = logins.folder / "entry.example.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(logins.folder.stat().st_mode) == 0o700


def test_no_token_is_shown(make_login):
    shown = repr(make_login(Tokens("secret-id", "secret-refresh", "ann", 1, 2), authority="PEM"))
    assert "secret" not in shown
    assert "PEM" not in shown


def test_in_a_keyring_the_file_holds_no_token(tmp_path, make_login):
    memory = Memory()
    logins = Logins(tmp_path / "state", lambda backend: memory)
    logins.save(make_login(TOKENS, place="some.Keyring"))
    assert logins.load(ENTRY).tokens == TOKENS
    assert list(memory.kept) == [("mosk-proxy", "https://entry.example")]
    assert "refresh" not in (logins.folder / "entry.example.json").read_text()
    logins.save(make_login(None, place="some.Keyring"))
    assert (logins.load(ENTRY).tokens, memory.kept) == (None, {})


def test_tokens_that_move_to_another_keyring_leave_the_first(tmp_path, make_login):
    memories = {"one.Keyring": Memory(), "two.Keyring": Memory()}
    logins = Logins(tmp_path / "state", memories.__getitem__)
    for place in memories:
        logins.save(make_login(TOKENS, place=place))
        logins.save(make_login(TOKENS, place=place))
    assert logins.load(ENTRY) == make_login(TOKENS, place="two.Keyring")
    assert [len(memory.kept) for memory in memories.values()] == [0, 1]


def test_tokens_that_move_to_a_file_leave_the_keyring(tmp_path, make_login):
    memory = Memory()
    logins = Logins(tmp_path / "state", lambda backend: memory)
    logins.save(make_login(TOKENS, place="some.Keyring"))
    logins.save(make_login(TOKENS))
    assert (logins.load(ENTRY).tokens, memory.kept) == (TOKENS, {})


def test_the_only_entry_need_not_be_named(logins, make_login):
    with pytest.raises(NotSignedIn, match="not signed in anywhere; run: mosk-proxy login"):
        logins.entry(None)
    logins.save(make_login(TOKENS))
    assert logins.entry(None) == ENTRY
    logins.save(make_login(TOKENS, entry=Entry.parse("https://other.example")))
    with pytest.raises(ClientError, match=r"name one of them: https://entry\.example, https://other\.example$"):
        logins.entry(None)
    assert logins.entry("https://Other.example/").url == "https://other.example"


@pytest.mark.parametrize(
    "change",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"\xff",
        b"[" * 100_000,
        {"url": 7},
        {"url": "http://entry.example"},
        {"issuer": None},
        {"client_id": 7},
        {"scopes": None},
        {"scopes": [7]},
        {"authority": 7},
        {"place": ...},
        {"tokens": 7},
        {"tokens": {}},
        {"tokens": {**{name: getattr(TOKENS, name) for name in Tokens.__slots__}, "id_token": 7}},
        {"tokens": {**{name: getattr(TOKENS, name) for name in Tokens.__slots__}, "expires_at": "1"}},
        {"tokens": {**{name: getattr(TOKENS, name) for name in Tokens.__slots__}, "expires_at": 10**15}},
        {"tokens": {**{name: getattr(TOKENS, name) for name in Tokens.__slots__}, "expires_at": -1}},
    ],
)
def test_a_broken_file_is_told_with_the_remedy(logins, make_login, change):
    logins.save(make_login(TOKENS))
    file = logins.folder / "entry.example.json"
    if isinstance(change, dict):
        document = json.loads(file.read_text()) | change
        change = json.dumps({name: value for name, value in document.items() if value is not ...}).encode()
    file.write_bytes(change)
    with pytest.raises(ClientError) as caught:
        logins.load(ENTRY)
    assert str(caught.value) == f"{file}: is not a sign-in that this version wrote; remove it and sign in again"


def test_a_file_of_another_entry_is_not_believed(logins, make_login):
    logins.save(make_login(TOKENS))
    (logins.folder / "entry.example.json").rename(logins.folder / "other.example.json")
    with pytest.raises(ClientError, match=r"is of https://entry\.example; remove it"):
        logins.load(Entry.parse("https://other.example"))


def test_an_open_folder_is_refused(logins, make_login):
    logins.save(make_login(TOKENS))
    logins.folder.chmod(0o755)
    with pytest.raises(ClientError, match="mode 0755 opens it to others; run: chmod 700"):
        logins.load(ENTRY)
