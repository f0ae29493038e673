"""Browsers sign in at a real Keycloak: code flow, renewal under rotation, back-channel logout, roles, sign-out."""

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from e2e_browsers import Administrator, Desk, Person, serving_desk
from e2e_keycloak import Keycloak
from e2e_servers import free_port
from e2e_world import World

from proxy.errors import Unauthenticated

pytestmark = pytest.mark.e2e

TOKEN_SECONDS = 5


@dataclass(frozen=True)
class Realm:
    """A client for browsers that come back to a port, in a realm that takes each refresh token once; and somebody with roles."""

    keycloak: Keycloak
    administrator: Administrator
    port: int

    def user_id(self, name: str) -> str:
        (user,) = self.administrator.ask("GET", f"/users?exact=true&username={name}")
        return user["id"]


@pytest.fixture(scope="module")
def realm(world: World) -> Iterator[Realm]:
    keycloak, port = world.keycloak, free_port()
    administrator = Administrator(keycloak.api, keycloak.administrator)
    url = f"https://127.0.0.1:{port}"
    (model,) = administrator.ask("GET", "/clients?clientId=mosk-proxy")
    mappers = [{key: value for key, value in mapper.items() if key != "id"} for mapper in model["protocolMappers"]]
    attributes = {
        "pkce.code.challenge.method": "S256",
        "post.logout.redirect.uris": "+",
        "backchannel.logout.url": f"{url}/oauth2/backchannel-logout",
        "backchannel.logout.session.required": "true",
        "access.token.lifespan": str(TOKEN_SECONDS),
    }
    client = {
        "clientId": "browsers",
        "secret": "browsers-secret",
        "publicClient": False,
        "standardFlowEnabled": True,
        "redirectUris": [f"{url}/oauth2/callback"],
        "attributes": attributes,
        "protocolMappers": mappers,
    }
    administrator.ask("POST", "/clients", client)
    for name in ("browser-ann", "browser-bob"):
        person = {"username": name, "enabled": True, "email": f"{name}@example.test", "firstName": name, "lastName": "Sample"}
        password = {"type": "password", "value": name, "temporary": False}
        administrator.ask("POST", "/users", person | {"emailVerified": True, "credentials": [password]})
        found = Realm(keycloak, administrator, port)
        roles = [administrator.ask("GET", f"/roles/{role}") for role in ("m:kaas:team-a@reader", "m:sl:team-a:prod@admin")]
        administrator.ask("POST", f"/users/{found.user_id(name)}/role-mappings/realm", roles)
    administrator.ask("PUT", "", {"revokeRefreshToken": True, "refreshTokenMaxReuse": 0})
    yield Realm(keycloak, administrator, port)
    administrator.ask("PUT", "", {"revokeRefreshToken": False})


@pytest.fixture
async def desk(world: World, realm: Realm, tmp_path: Path) -> AsyncIterator[Desk]:
    async with serving_desk(tmp_path / "desk", world.ca, world.keycloak.issuer, realm.port) as found:
        yield found
    await asyncio.sleep(0.2)  # until asyncio has ended the TLS connections that were closed


@pytest.fixture
async def people(world: World, desk: Desk) -> AsyncIterator[dict[str, Person]]:
    async with contextlib.AsyncExitStack() as stack:
        found = {}
        for name in ("browser-ann", "browser-bob"):
            connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=world.ca), force_close=True)
            http = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
            found[name] = Person(await stack.enter_async_context(http), desk, name)
        yield found


@pytest.fixture
def ann(people: dict[str, Person]) -> Person:
    return people["browser-ann"]


async def test_from_nothing_to_a_session(desk: Desk, ann: Person, world: World) -> None:
    status, location, _ = await ann.sign_in("/sl/team-a/prod/grafana/d/1?a=b")
    assert (status, location) == (303, "/sl/team-a/prod/grafana/d/1?a=b")
    for worker in desk.workers:
        session = await worker.room.browsers.verify(ann.session_id)
        assert session.identity.username == "browser-ann"
        assert {"m:kaas:team-a@reader", "m:sl:team-a:prod@admin"} <= set(session.identity.groups)
        assert {"browsers", "kaas", "k8s", "sl"} <= session.identity.audiences
        assert session.provider_session is not None
    world.keycloak.issued |= {session.contents.id_token, session.contents.refresh_token}
    for url in ann.seen:
        assert session.contents.id_token not in url
        assert session.contents.refresh_token not in url


async def test_a_callback_that_comes_again_is_refused(ann: Person) -> None:
    await ann.sign_in()
    kept = ann.session_id
    status, _, text = await ann.ask("GET", ann.seen[-1])
    assert (status, json.loads(text)["cause"]) == (400, "sign_in_unknown")
    assert ann.session_id == kept


async def test_many_requests_on_two_workers_renew_once(desk: Desk, ann: Person) -> None:
    """The realm ends the session of whoever uses a refresh token twice."""
    await ann.sign_in()
    before = await desk.workers[0].room.browsers.verify(ann.session_id)
    for _ in range(2):
        await asyncio.sleep(TOKEN_SECONDS - 0.7)
        waiting = [worker.room.browsers.verify(ann.session_id) for worker in desk.workers for _ in range(100)]
        sessions = await asyncio.gather(*waiting)
        tokens = {session.contents.refresh_token for session in sessions}
        assert len(tokens) == 1
        assert before.contents.refresh_token not in tokens
        before = sessions[0]


async def test_a_role_that_is_taken_away_is_gone_at_the_next_renewal(desk: Desk, people: dict[str, Person], realm: Realm) -> None:
    bob = people["browser-bob"]
    await bob.sign_in()
    worker = desk.workers[0]
    assert "m:kaas:team-a@reader" in (await worker.room.browsers.verify(bob.session_id)).identity.groups
    role = realm.administrator.ask("GET", "/roles/m:kaas:team-a@reader")
    mapping = f"/users/{realm.user_id('browser-bob')}/role-mappings/realm"
    await asyncio.to_thread(realm.administrator.ask, "DELETE", mapping, [role])
    await asyncio.sleep(TOKEN_SECONDS)
    groups = (await worker.room.browsers.verify(bob.session_id)).identity.groups
    assert "m:kaas:team-a@reader" not in groups
    assert "m:sl:team-a:prod@admin" in groups


@pytest.mark.parametrize("by", ["session", "user"])
async def test_what_keycloak_ends_is_cut_on_both_workers_within_a_second(
    desk: Desk, people: dict[str, Person], realm: Realm, by: str
) -> None:
    for person in people.values():
        await person.sign_in()
    sessions = {}
    for worker in desk.workers:
        for name, person in people.items():
            sessions[name] = await worker.room.browsers.verify(person.session_id)
            worker.streams.open.add(sessions[name].key)
    ann, bob = sessions["browser-ann"], sessions["browser-bob"]
    sid, subject = ann.identity.session_id, ann.identity.subject
    began = asyncio.get_running_loop().time()
    method, path = ("DELETE", f"/sessions/{sid}") if by == "session" else ("POST", f"/users/{subject}/logout")
    await asyncio.to_thread(realm.administrator.ask, method, path)
    deadline = time.monotonic() + 5
    while not all(ann.key in worker.streams.cut_at for worker in desk.workers):
        assert time.monotonic() < deadline, desk.asked
        await asyncio.sleep(0.01)
    assert max(worker.streams.cut_at[ann.key] for worker in desk.workers) - began < 1
    assert len(desk.asked) == 1 or by == "user", "one token for each session that the user had"
    for worker in desk.workers:
        with pytest.raises(Unauthenticated):
            await worker.room.browsers.verify(people["browser-ann"].session_id)
        assert (await worker.room.browsers.verify(people["browser-bob"].session_id)).key == bob.key
    replayed = await desk.workers[1].room.sign_out.backchannel_logout("application/x-www-form-urlencoded", desk.asked[0])
    assert (replayed.status, replayed.detail) == (400, "logout token seen before: jti")


async def test_out_here_and_at_keycloak_without_a_question(desk: Desk, ann: Person) -> None:
    await ann.sign_in()
    session_id = ann.session_id
    status, location, _ = await ann.sign_out()
    assert status == 303
    assert "id_token_hint" not in location
    for worker in desk.workers:
        with pytest.raises(Unauthenticated):
            await worker.room.browsers.verify(session_id)
    status, back, page = await ann.ask("GET", location)
    assert back == f"{desk.url}/oauth2/callback?state=signed-out", page
    assert (await ann.ask("GET", back))[2] == "signed out"
    _, location, _ = await ann.ask("GET", f"{desk.url}/oauth2/start")
    status, _, page = await ann.ask("GET", location)
    assert (status, 'name="password"' in page) == (200, True), "Keycloak wants the password again"


async def test_a_session_that_keycloak_forgot_ends_at_the_next_renewal(desk: Desk, ann: Person, realm: Realm) -> None:
    await ann.sign_in()
    worker = desk.workers[0]
    session = await worker.room.browsers.verify(ann.session_id)
    # A second use of the refresh token, by a thief: Keycloak ends the session and tells nobody.
    for _ in range(2):
        with contextlib.suppress(Exception):
            await worker.room.provider.refresh(session.contents.refresh_token)
    await asyncio.sleep(TOKEN_SECONDS)
    with pytest.raises(Unauthenticated):
        await worker.room.browsers.verify(ann.session_id)


async def test_a_long_way_to_return_to_survives_keycloak(ann: Person) -> None:
    target = "/sl/team-a/prod/prometheus/graph?g0.expr=" + "a" * 1900
    status, location, _ = await ann.sign_in(target)
    assert (status, location) == (303, target)
