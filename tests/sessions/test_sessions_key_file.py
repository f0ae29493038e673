import base64
from concurrent.futures import ThreadPoolExecutor

import pytest

from proxy.sessions.key_file import UnusableKeys, parse_keys, read_keys, read_or_make_keys

ONE, TWO = base64.b64encode(b"1" * 32), base64.b64encode(b"2" * 32)


def test_a_key_is_made_once_for_its_owner_alone(tmp_path):
    path = tmp_path / "sessions.db.key"
    with ThreadPoolExecutor(8) as workers:
        found = list(workers.map(read_or_make_keys, [path] * 8))
    assert len(set(found)) == 1
    (key,) = found[0]
    assert len(key) == 32
    assert key != read_or_make_keys(tmp_path / "another.key")[0]
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_or_make_keys(path) == (key,)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["another.key", "sessions.db.key"], "nothing else is left"


def test_several_keys_are_read_in_their_order():
    assert parse_keys(b"# newest first\n\n" + ONE + b"\n  " + TWO + b" \r\n") == (b"1" * 32, b"2" * 32)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "holds no key"),
        (b"# only words\n\n", "holds no key"),
        (ONE + b"\nsecret-word\n", "line 2 is not base64 of 32 bytes"),
        (base64.b64encode(b"1" * 31), "line 1 is not base64 of 32 bytes"),
        (base64.b64encode(b"1" * 33), "line 1 is not base64 of 32 bytes"),
        (ONE + TWO, "line 1 is not base64 of 32 bytes"),
        (b"\xff\xfe", "line 1 is not base64 of 32 bytes"),
        (b"#" * 70_000, "is too long for a key file"),
    ],
)
def test_what_is_no_key_file_is_named_and_not_quoted(tmp_path, text, message):
    path = tmp_path / "keys"
    path.write_bytes(text)
    path.chmod(0o600)
    with pytest.raises(UnusableKeys) as refused:
        read_keys(path)
    assert str(refused.value).startswith(f"{path}: {message}")
    assert "secret-word" not in str(refused.value)


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o600, 0o640])
def test_owner_and_group_may_read_it(tmp_path, mode):
    path = tmp_path / "keys"
    path.write_bytes(ONE)
    path.chmod(mode)
    assert read_keys(path) == (b"1" * 32,)


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o620, 0o644, 0o660, 0o666])
def test_nobody_else_may_use_it(tmp_path, mode):
    path = tmp_path / "keys"
    path.write_bytes(ONE)
    path.chmod(mode)
    with pytest.raises(UnusableKeys, match=f"chmod 600 {path}"):
        read_keys(path)


def test_what_cannot_be_read_or_made_is_one_line(tmp_path):
    with pytest.raises(UnusableKeys, match=r"absent: No such file"):
        read_keys(tmp_path / "absent")
    with pytest.raises(UnusableKeys, match=r"keys: cannot be made: No such file"):
        read_or_make_keys(tmp_path / "no-folder" / "keys")
    with pytest.raises(UnusableKeys, match=r"Is a directory"):
        read_or_make_keys(tmp_path)
