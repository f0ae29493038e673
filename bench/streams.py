"""What large and long answers look like: paths, the bytes of a tunnel, events of a watch. Pure, shared by upstream and clients."""

import re

LIST_BYTES = 1 << 20
LARGE_BYTES = 20_000_000
LARGEST = 32 << 20
FRAMES, PAYLOAD = 32, 32 << 10  # a burst through a tunnel is about a megabyte
PROTOCOL = "v5.channel.k8s.io"
WATCH = "/api/v1/namespaces/app/configmaps?watch=true"
EXEC = "/api/v1/namespaces/app/pods/sample/exec?command=cat&stdin=true&stdout=true"
_SIZED = re.compile(rb"/api/v1/namespaces/bytes-(\d{1,8})/")


def list_path(size: int) -> str:
    """A list whose answer has so many bytes."""
    return f"/api/v1/namespaces/bytes-{size}/configmaps"


def log_path(size: int) -> str:
    """A pod's log of so many bytes."""
    return f"/api/v1/namespaces/bytes-{size}/pods/sample/log"


def upload_path(size: int) -> str:
    """Where so many bytes are sent to, as the body of a PUT."""
    return f"/api/v1/namespaces/bytes-{size}/configmaps/sample"


def size_of(target: bytes) -> int | None:
    """The size that a path asks for; None when it asks for none, or for too much."""
    found = _SIZED.match(target)
    size = int(found[1]) if found else 0
    return size if 0 < size <= LARGEST else None


def burst(*, masked: bool) -> bytes:
    """The frames of one burst: binary, on the channel of standard input (from a client, masked) or output. RFC 6455 section 5.2.

    The mask is zero, so that the payload stays itself.
    """
    channel = b"\x00" if masked else b"\x01"
    length = PAYLOAD.to_bytes(2, "big")
    head = b"\x82\xfe" + length + bytes(4) if masked else b"\x82\x7e" + length
    return (head + channel + b"x" * (PAYLOAD - 1)) * FRAMES


def event(number: int) -> bytes:
    """One line of a watch, about half a kilobyte; `mark` finds it."""
    text = "x" * 300
    return (
        b'{"type":"MODIFIED","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"sample","namespace":"app",'
        + mark(number)
        + b'},"data":{"text":"'
        + text.encode()
        + b'"}}}\n'
    )


def mark(number: int) -> bytes:
    """What stands in no other event."""
    return b'"resourceVersion":"%d"' % number


def chunk(content: bytes) -> bytes:
    """A chunk of the chunked transfer coding (RFC 9112 section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(content), content)
