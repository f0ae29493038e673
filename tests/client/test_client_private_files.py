import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.client.errors import ClientError
from proxy.client.private_files import check_private, locked, make_folder, read_private, state_folder, write_private


@pytest.mark.parametrize(
    ("variable", "folder"),
    [
        ({}, "/home/ann/.local/state/mosk-proxy"),
        ({"XDG_STATE_HOME": "/state"}, "/state/mosk-proxy"),
        ({"XDG_STATE_HOME": "relative"}, "/home/ann/.local/state/mosk-proxy"),
        ({"XDG_STATE_HOME": ""}, "/home/ann/.local/state/mosk-proxy"),
    ],
)
def test_where_sign_ins_are_kept(variable, folder):
    assert state_folder(variable, Path("/home/ann")) == Path(folder)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_folder_is_made_for_its_owner_alone(tmp_path):
    make_folder(tmp_path / "a" / "b")
    assert mode(tmp_path / "a" / "b") == 0o700
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "a" / "b").chmod(0o750)
    with pytest.raises(ClientError, match=f"mode 0750 opens it to others; run: chmod 700 {tmp_path}/a/b"):
        make_folder(tmp_path / "a" / "b")


def test_what_is_written_is_read(tmp_path):
    file = tmp_path / "x.json"
    assert read_private(file) is None
    write_private(file, b"old")
    write_private(file, b"new")
    assert (read_private(file), mode(file)) == (b"new", 0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_a_mode_that_others_profit_from_is_refused(tmp_path):
    file = tmp_path / "x.json"
    write_private(file, b"secret")
    for wider in (0o640, 0o604, 0o620, 0o601):
        file.chmod(wider)
        with pytest.raises(ClientError) as caught:
            read_private(file)
        assert str(caught.value) == f"{file}: mode {wider:04o} opens it to others; run: chmod 600 {file}"


def test_a_file_of_another_user_is_refused(tmp_path):
    found = list(tmp_path.stat())
    found[stat.ST_UID] = os.geteuid() + 1
    with pytest.raises(ClientError, match=f"belongs to another user \\(uid {os.geteuid() + 1}\\); remove it"):
        check_private(tmp_path / "x.json", os.stat_result(found), "chmod 600")


def test_a_link_or_a_pipe_is_not_opened(tmp_path):
    (tmp_path / "real").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(OSError, match="symbolic link"):
        read_private(tmp_path / "link")
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ClientError, match="is not a regular file"):
        read_private(tmp_path / "pipe")


def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(tmp_path):
    (tmp_path / "x.json").mkdir()
    with pytest.raises(OSError):
        write_private(tmp_path / "x.json", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_a_lock_keeps_other_processes_waiting(tmp_path):
    lock = tmp_path / "lock"
    other = (
        "import sys; from pathlib import Path; from proxy.client.private_files import locked; print('waiting', flush=True)\n"
        "with locked(Path(sys.argv[1])) as descriptor: print('held', flush=True)"
    )
    with locked(lock):
        process = subprocess.Popen([sys.executable, "-c", other, lock], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "waiting\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
    assert process.communicate(timeout=5) == ("held\n", None)
    assert mode(lock) == 0o600
