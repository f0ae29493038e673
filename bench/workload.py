"""Which requests a measurement sends: users, each with a token and the paths it asks for, in turn. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

STRIDE = 7919  # a prime, so that connections start at unrelated places of the rotation


class User(msgspec.Struct, frozen=True):
    """A bearer token, and which of the workload's lists of paths is asked with it."""

    token: str
    path_list: int = 0


class Workload(msgspec.Struct, frozen=True):
    """Users in turn; `once` means that each user sends a single request, the first path of its list."""

    users: list[User]
    path_lists: list[list[str]]
    once: bool = False


@dataclass(frozen=True, slots=True)
class Requests:
    """A workload as bytes, ready to be sent to one host."""

    heads: Sequence[bytes]
    paths: Sequence[Sequence[bytes]]

    @classmethod
    def of(cls, workload: Workload, host: str) -> "Requests":
        """Precompute all that does not change between requests."""
        lists = [[path.encode() for path in paths] for paths in workload.path_lists]
        heads = [head_of(host, user.token) for user in workload.users]
        return cls(heads, [lists[user.path_list] for user in workload.users])

    def in_turn(self, connection: int) -> Iterator[bytes]:
        """Endless requests of one connection: the user changes with each request, the path with each round of users."""
        users = len(self.heads)
        turn = connection * STRIDE
        while True:
            user = turn % users
            paths = self.paths[user]
            yield b"GET " + paths[(turn // users) % len(paths)] + self.heads[user]
            turn += 1

    def once(self) -> Iterator[bytes]:
        """One request for each user."""
        for head, paths in zip(self.heads, self.paths, strict=True):
            yield b"GET " + paths[0] + head


def head_of(host: str, token: str) -> bytes:
    """All of a request after its path, as kubectl sends it."""
    return (
        f" HTTP/1.1\r\nHost: {host}\r\nUser-Agent: kubectl/v1.33.0 (linux/amd64) kubernetes/60a317e\r\n"
        f"Accept: application/json\r\nAuthorization: Bearer {token}\r\nAccept-Encoding: gzip\r\n\r\n"
    ).encode()


class WrongAnswer(Exception):
    """An answer that is not 200 with the expected body; it ends the whole run."""


def whole_answer(received: bytes, body: bytes) -> bool:
    """Whether a 200 answer with exactly this body is there in full; raises WrongAnswer as soon as it cannot be."""
    if not received.startswith(b"HTTP/1.1 200 "[: len(received)]):
        raise WrongAnswer(f"not 200: {received[:300]!r}")
    end = received.find(b"\r\n\r\n") + 4
    if end < 4:
        return False
    missing = len(body) - (len(received) - end)
    if missing > 0 and body.startswith(received[end:]):
        return False
    if missing == 0 and received.endswith(body):
        return True
    raise WrongAnswer(f"not the expected body: {received[:300]!r}")
