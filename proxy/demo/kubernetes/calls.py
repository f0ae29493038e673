"""One request as the handlers see it, and the answers they give."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from proxy.demo.kubernetes import protobuf
from proxy.demo.kubernetes.access import Caller
from proxy.demo.kubernetes.objects import Place, WriteOptions
from proxy.demo.kubernetes.refusals import Refused, bad_request, unsupported_media_type
from proxy.demo.kubernetes.resources import Resource

MAX_BODY = 3 << 20


@dataclass(frozen=True, slots=True)
class Call:
    """A request for a resource; `rest` is the path below a proxy subresource."""

    request: web.BaseRequest
    caller: Caller
    resource: Resource
    namespace: str | None
    name: str | None
    subresource: str | None
    rest: str

    @property
    def query(self) -> Mapping[str, str]:
        """The query parameters, the first of each name."""
        return self.request.query

    def flag(self, name: str) -> bool:
        """Whether a boolean parameter is set."""
        return self.query.get(name, "").lower() in ("1", "true")

    def number(self, name: str) -> int | None:
        """A parameter that counts something; raises Refused (400) when it is no such number."""
        text = self.query.get(name, "")
        if not text:
            return None
        if not text.isdecimal() or len(text) > 15:
            raise bad_request(f"invalid value for {name}: {text!r}")
        return int(text)

    def place(self) -> Place:
        """Where the object is; raises Refused (400) when the path names none."""
        if self.name is None:
            raise bad_request("name is required")
        return Place(self.resource, self.namespace, self.name, "status" if self.subresource == "status" else "")

    def write_options(self) -> WriteOptions:
        """Without fieldManager, the program in front of the slash of User-Agent, as a real API server does."""
        return WriteOptions(
            manager=self.query.get("fieldManager") or self.request.headers.get("User-Agent", "unknown").partition("/")[0],
            dry_run="dryRun" in self.query,
            validation=self.query.get("fieldValidation") or "Warn",
            force=self.flag("force"),
        )


async def body(request: web.BaseRequest) -> bytes:
    """Raises Refused (413)."""
    received = bytearray()
    async for chunk in request.content.iter_any():
        received += chunk
        if len(received) > MAX_BODY:
            raise Refused(413, "RequestEntityTooLarge", f"Request entity too large: limit is {MAX_BODY}")
    return bytes(received)


async def body_document(request: web.BaseRequest) -> Any:
    """A JSON body, or one of the kinds that clients send as protobuf; {} without one. Raises Refused: 400, 413, 415."""
    received = await body(request)
    if not received:
        return {}
    if request.content_type == protobuf.CONTENT_TYPE:
        return protobuf.decode(received)
    if request.content_type not in ("application/json", "application/octet-stream"):
        raise unsupported_media_type(("application/json", protobuf.CONTENT_TYPE))
    return parse_json(received)


def parse_json(received: bytes) -> Any:
    """Raises Refused (400)."""
    try:
        return json.loads(received)
    except (ValueError, RecursionError) as error:
        raise bad_request(f"the body of the request is no JSON: {error}") from error


def answer(
    document: Any, *, code: int = 200, warnings: Iterable[str] = (), content_type: str = "application/json"
) -> web.Response:
    """A JSON answer."""
    response = web.Response(status=code, body=json.dumps(document).encode() + b"\n", headers={"Content-Type": content_type})
    for warning in warnings:
        response.headers.add("Warning", f"299 - {json.dumps(warning)}")
    return response


def refusal(refused: Refused) -> web.Response:
    """The Status object of a refusal."""
    return answer(refused.status(), code=refused.code)
