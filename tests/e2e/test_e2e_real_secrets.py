"""After all other tests: no credential that was used is in any log that was written."""

import re

import pytest
from e2e_world import World

pytestmark = [pytest.mark.e2e, pytest.mark.last]

# A log that holds a token in other clothes still holds its signature, or most of it.
_SIGNATURE_PART = 40


def test_no_credential_is_in_any_log(world: World) -> None:
    secrets = {token.rpartition(".")[2][:_SIGNATURE_PART] for token in world.keycloak.issued}
    secrets.add((world.child.folder / "proxy.token").read_text().strip())
    assert len(secrets) > 1
    logs = world.logs()
    names = {path.relative_to(world.folder).as_posix() for path in logs}
    assert names >= {
        "door/audit.log", "door/mosk-proxy.err.log", "door/mosk-proxy.out.log", "child/audit.log", "child/kube-apiserver.log",
        "management/audit.log", "management/kube-apiserver.log", "keycloak/keycloak.log",
    }  # fmt: skip
    pattern = re.compile("|".join(re.escape(secret) for secret in secrets))
    assert [path for path in logs if pattern.search(path.read_text(errors="replace"))] == []


def test_mosk_proxy_has_logged_no_trouble(world: World) -> None:
    said = world.door.server.errors
    assert "Traceback" not in said
    assert " ERROR " not in said
    assert world.door.server.process.poll() is None
