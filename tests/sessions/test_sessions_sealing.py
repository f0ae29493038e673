import pytest

from proxy.sessions.sealing import Sealer

OLD, NEW = b"o" * 32, b"n" * 32


def test_what_is_sealed_opens_for_the_same_purpose_and_name_only():
    sealer = Sealer([NEW])
    sealed = sealer.seal(b"tokens", "session", b"key")
    assert b"tokens" not in sealed
    assert sealer.open(sealed, "session", b"key") == b"tokens"
    assert sealer.open(sealed, "session", b"other key") is None
    assert sealer.open(sealed, "sign-in state", b"key") is None
    assert sealer.open(sealed, "sign-in cookie", b"key") is None
    assert sealer.seal(b"tokens", "session", b"key") != sealed


def test_purpose_and_name_cannot_be_shifted_into_each_other():
    sealer = Sealer([NEW])
    sealed = sealer.seal(b"x", "session", b"\0name")
    assert sealer.open(sealed, "session", b"name") is None


def test_no_byte_can_be_changed_and_nothing_can_be_cut_or_added():
    sealer = Sealer([NEW])
    sealed = sealer.seal(b"tokens", "session", b"key")
    for place in range(len(sealed)):
        changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        assert sealer.open(changed, "session", b"key") is None, place
        assert sealer.open(sealed[:place], "session", b"key") is None, place
    assert sealer.open(sealed + b"\0", "session", b"key") is None
    assert sealer.open(b"", "session", b"key") is None


def test_the_first_key_seals_and_every_key_opens():
    old = Sealer([OLD])
    sealed = old.seal(b"tokens", "session", b"key")
    rotated = Sealer([NEW, OLD])
    assert rotated.open(sealed, "session", b"key") == b"tokens"
    assert old.open(rotated.seal(b"tokens", "session", b"key"), "session", b"key") is None
    assert Sealer([NEW]).open(sealed, "session", b"key") is None


def test_keys_can_be_changed_while_in_use():
    sealer = Sealer([OLD])
    sealed = sealer.seal(b"tokens", "session", b"key")
    sealer.use([NEW, OLD])
    assert sealer.open(sealed, "session", b"key") == b"tokens"
    sealer.use([NEW])
    assert sealer.open(sealed, "session", b"key") is None


def test_no_key_is_shown():
    assert repr(Sealer([OLD, NEW])) == "Sealer(2 keys)"


def test_a_key_must_have_its_length():
    with pytest.raises(ValueError, match="key"):
        Sealer([b"short"])
