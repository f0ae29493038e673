import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from proxy.sessions.sqlite_database import SCHEMA_VERSION, open_database
from proxy.sessions.store import UnusableStore


def refusal(path) -> str:
    with pytest.raises(UnusableStore) as refused:
        open_database(path, 0.1)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_the_file_and_its_companions_are_their_owners_alone(tmp_path):
    path = tmp_path / "sessions.db"
    with closing(open_database(path, 1)) as connection:
        connection.execute("INSERT INTO once VALUES (x'00', 1)")
        files = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    assert files == {"sessions.db": 0o600, "sessions.db-wal": 0o600, "sessions.db-shm": 0o600}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_may_use_is_refused(tmp_path, mode):
    path = tmp_path / "sessions.db"
    open_database(path, 1).close()
    path.chmod(mode)
    assert refusal(path) == f"{path}: others than its owner may use it: chmod 600 {path}"


def test_it_is_durable_and_in_wal_mode(tmp_path):
    with closing(open_database(tmp_path / "sessions.db", 1)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_database_of_another_program_is_left_alone(tmp_path):
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE important (thing)")
    path.chmod(0o600)
    assert refusal(path) == f"{path}: is not a session database of mosk-proxy: name another file"
    with closing(sqlite3.connect(path)) as connection:
        assert [row[0] for row in connection.execute("SELECT name FROM sqlite_master")] == ["important"]


@pytest.mark.parametrize("version", [0, SCHEMA_VERSION + 1])
def test_a_schema_that_this_release_does_not_know_is_refused(tmp_path, version):
    path = tmp_path / "sessions.db"
    with closing(open_database(path, 1)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    assert refusal(path) == f"{path}: is of schema {version}, this release knows {SCHEMA_VERSION}: name another file"


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"this is no database, whatever its name says" * 50, "file is not a database"), (b"", None)],
)
def test_a_file_that_is_no_database_is_told(tmp_path, content, message):
    path = tmp_path / "sessions.db"
    path.write_bytes(content)
    path.chmod(0o600)
    if message is None:
        open_database(path, 1).close()
    else:
        assert refusal(path) == f"{path}: {message}"


def test_a_place_that_cannot_be_used_is_told(tmp_path):
    assert refusal(tmp_path / "no-folder" / "sessions.db") == f"{tmp_path}/no-folder/sessions.db: No such file or directory"
    (tmp_path / "folder").mkdir(mode=0o700)
    assert refusal(tmp_path / "folder") == f"{tmp_path}/folder: unable to open database file"


OPEN = "import sys, pathlib; from proxy.sessions.sqlite_database import open_database; open_database(pathlib.Path(sys.argv[1]), 1).close()"


def test_workers_that_start_at_once_make_one_database(tmp_path):
    path = tmp_path / "sessions.db"
    started = [subprocess.Popen([sys.executable, "-c", OPEN, str(path)]) for _ in range(4)]
    assert [process.wait(20) for process in started] == [0, 0, 0, 0]
    with closing(open_database(path, 1)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
