"""Reloads that overlap, and files that change while they are read."""

import asyncio
import socket
from collections.abc import Callable

from edge_door import ISSUER, POD, Door, key_set
from ruamel.yaml import YAML

Maker = Callable[..., Door]


def rewrite(entry: Door, **changes: object) -> None:
    yaml = YAML(typ="safe")
    document = yaml.load(entry.config_file.read_text())
    with entry.config_file.open("w") as file:
        yaml.dump({**document, **changes}, file)


def reload(entry: Door) -> "asyncio.Future[None]":
    return asyncio.run_coroutine_threadsafe(entry.running.reloader.reload("test"), entry.loop)  # type: ignore[return-value]


def test_a_reload_that_waits_for_keys_does_not_undo_the_one_that_follows(make_door: Maker) -> None:
    entry = make_door()
    issuers = YAML(typ="safe").load(entry.config_file.read_text())["issuers"]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        slow = {"issuer": f"http://127.0.0.1:{silent.getsockname()[1]}/realm", "audiences": ["k8s"]}
        rewrite(entry, issuers=[*issuers, slow])
        first = reload(entry)
        silent.settimeout(5)
        silent.accept()[0].close()
        rewrite(entry, issuers=issuers)
        second = reload(entry)
        for done in (first, second):
            done.result(timeout=20)
    edge = entry.running.edge
    assert [state.issuer for state in edge.site.authenticator.states] == [issuers[0]["issuer"]]
    assert edge.site.authenticator is entry.running.reloader._builder._committed.tokens.authenticator
    assert entry.running.reloader.outcomes["applied"] == 2


def test_a_file_that_changes_while_it_is_read_is_still_seen_as_changed(make_door: Maker) -> None:
    entry = make_door()
    reloader = entry.running.reloader
    reload(entry).result(timeout=10)
    assert reloader._fingerprint() == reloader._seen
    rewrite(entry, hosts=["other.example"])
    assert reloader._fingerprint() != reloader._seen


def test_an_issuer_that_is_silent_keeps_its_keys_when_another_one_changes(make_door: Maker) -> None:
    known = {"issuer": ISSUER, "audiences": ["k8s"], "jwks_file": "jwks.json"}
    entry = make_door(issuers=[known])
    wire, head = entry.connect(), entry.head("GET", POD)
    wire.send(head)
    assert wire.answer().status == 200
    entry.issuer.file.write_text("no key set")
    (entry.config_file.parent / "others.json").write_text(key_set("two"))
    entry.reload(issuers=[known, {"issuer": "https://other.example", "audiences": ["k8s"], "jwks_file": "others.json"}])
    wire.send(head)
    assert wire.answer().status == 200
