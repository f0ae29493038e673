from pathlib import Path

from proxy.client.user import User


def test_sign_ins_are_where_the_environment_says(tmp_path):
    assert User({"XDG_STATE_HOME": str(tmp_path)}, Path("/home/ann")).logins.folder == tmp_path / "mosk-proxy"
    assert User({"SECRET": "s"}, Path("/home/ann")).logins.folder == Path("/home/ann/.local/state/mosk-proxy")
    assert "SECRET" not in repr(User({"SECRET": "s"}, Path("/home/ann")))
    assert User.of_this_process().home.is_absolute()
