"""Which requests a measurement sends: users, each with a token and the paths it asks for, in turn. Pure."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

import msgspec

STRIDE = 7919  # a prime, so that connections start at unrelated places of the rotation
HEAD_END = b"\r\n\r\n"


class User(msgspec.Struct, frozen=True):
    """A bearer token (empty: none is sent), and which of the workload's lists of paths is asked with it."""

    token: str
    path_list: int = 0


class Workload(msgspec.Struct, frozen=True):
    """Users in turn; `once` means that each user sends a single request, the first path of its list.

    `distinct` appends to each path something that was never sent before; `fields` are further header lines, each with its CRLF.
    """

    users: list[User]
    path_lists: list[list[str]]
    once: bool = False
    distinct: bool = False
    fields: str = ""


@dataclass(frozen=True, slots=True)
class Requests:
    """A workload as bytes, ready to be sent to one host."""

    heads: Sequence[bytes]
    paths: Sequence[Sequence[bytes]]
    distinct: bool = False
    salt: str = field(default_factory=lambda: os.urandom(4).hex())  # no two runs send the same paths
    numbers: Iterator[int] = field(default_factory=count)

    @classmethod
    def of(cls, workload: Workload, host: str) -> "Requests":
        """Precompute all that does not change between requests."""
        lists = [[path.encode() for path in paths] for paths in workload.path_lists]
        heads = [head_of(host, user.token, workload.fields) for user in workload.users]
        return cls(heads, [lists[user.path_list] for user in workload.users], workload.distinct)

    def in_turn(self, connection: int) -> Iterator[bytes]:
        """Endless requests of one connection: the user changes with each request, the path with each round of users."""
        users = len(self.heads)
        turn = connection * STRIDE
        while True:
            user = turn % users
            paths = self.paths[user]
            path = paths[(turn // users) % len(paths)]
            yield b"GET " + (self.made_distinct(path) if self.distinct else path) + self.heads[user]
            turn += 1

    def made_distinct(self, path: bytes) -> bytes:
        """A path that was never asked for."""
        return b"%b-%b-%d" % (path, self.salt.encode(), next(self.numbers))

    def once(self) -> Iterator[bytes]:
        """One request for each user."""
        for head, paths in zip(self.heads, self.paths, strict=True):
            yield b"GET " + paths[0] + head


def head_of(host: str, token: str, fields: str = "") -> bytes:
    """All of a request after its path, as kubectl sends it; `fields` are further header lines, each with its CRLF."""
    credential = f"Authorization: Bearer {token}\r\n" if token else ""
    return (
        f" HTTP/1.1\r\nHost: {host}\r\nUser-Agent: kubectl/v1.33.0 (linux/amd64) kubernetes/60a317e\r\n"
        f"Accept: application/json\r\n{credential}Accept-Encoding: gzip\r\n{fields}\r\n"
    ).encode()


def fields_of(size: int) -> str:
    """Header lines of about `size` bytes together, in fields of a kilobyte or less."""
    line = "X-Bench-{:02}: {}\r\n"
    frame = len(line.format(0, ""))
    full, rest = divmod(size, 1024)
    lengths = [1024] * full + [rest] * (rest > frame)
    return "".join(line.format(number, "v" * (length - frame)) for number, length in enumerate(lengths))


class WrongAnswer(Exception):
    """An answer that is not the expected one: no figure of that peer in that scenario is shown."""


def whole_answer(received: bytes, body: bytes) -> bool:
    """Whether a 200 answer with exactly this body is there in full; raises WrongAnswer as soon as it cannot be."""
    if not received.startswith(b"HTTP/1.1 200 "[: len(received)]):
        raise WrongAnswer(f"not 200: {received[:300]!r}")
    end = received.find(HEAD_END) + 4
    if end < 4:
        return False
    missing = len(body) - (len(received) - end)
    if missing > 0 and body.startswith(received[end:]):
        return False
    if missing == 0 and received.endswith(body):
        return True
    raise WrongAnswer(f"not the expected body: {received[:300]!r}")


def whole_refusal(received: bytes, status: int) -> bool:
    """Whether an answer with this status is there in full, whatever it says; raises WrongAnswer as soon as it cannot be."""
    start = b"HTTP/1.1 %d " % status
    if not received.startswith(start[: len(received)]):
        raise WrongAnswer(f"not {status}: {received[:300]!r}")
    head, found, body = received.partition(HEAD_END)
    if not found:
        return False
    missing = content_length(head) - len(body)
    if missing < 0:
        raise WrongAnswer(f"more than one answer: {received[:300]!r}")
    return not missing


def content_length(head: bytes) -> int:
    """Content-Length of a head; raises WrongAnswer when it has none."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise WrongAnswer(f"no Content-Length: {head[:300]!r}")
