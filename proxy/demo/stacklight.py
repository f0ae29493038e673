"""Stand-ins for a cluster's StackLight applications. They imitate the few answers that show a proxy at work, and say so on every page.

Each is an aiohttp application for one cluster. `prefix` is the path under which it is mounted, empty or beginning with `/`: what
Grafana calls `serve_from_sub_path` and Prometheus `--web.route-prefix`.
"""

import json
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from http import HTTPStatus
from typing import Any

from aiohttp import WSMsgType, hdrs, web

from proxy.demo.scenery import ChildCluster

_NOTE = "A stand-in of the mosk-proxy demonstration, not the real application."
_LONGEST_MESSAGE = 64 * 1024
_MOST_SILENCES = 1000


def _page(title: str, body: str) -> web.Response:
    text = (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title></head>'
        f"<body><h1>{escape(title)}</h1>{body}<p><em>{_NOTE}</em></p></body></html>"
    )
    return web.Response(text=text, content_type="text/html")


@dataclass(frozen=True, slots=True)
class Grafana:
    """Believes the `X-WEBAUTH-*` headers of whoever connects, as Grafana's `auth.proxy` does."""

    cluster: ChildCluster
    prefix: str

    def application(self) -> web.Application:
        """What serves it."""
        application = web.Application()
        application.add_routes(
            [
                web.get(f"{self.prefix}/", self._home),
                web.get(f"{self.prefix}/login", self._to_home),
                web.get(f"{self.prefix}/d/nodes", self._to_dashboard),
                web.get(f"{self.prefix}/d/nodes/{{slug}}", self._dashboard),
                web.get(f"{self.prefix}/api/health", self._health),
                web.get(f"{self.prefix}/api/user", self._user),
                web.get(f"{self.prefix}/api/live/ws", self._live),
            ]
        )
        return application

    async def _home(self, request: web.Request) -> web.Response:
        login, role = _webauth(request)
        response = _page(
            f"Grafana of {self.cluster}",
            f'<p>Signed in as <b id="login">{escape(login)}</b>, role <b id="role">{escape(role)}</b>.</p>'
            f'<p><a href="{escape(self.prefix)}/d/nodes">Nodes</a></p>',
        )
        response.set_cookie("grafana_session", uuid.uuid4().hex, path=f"{self.prefix}/", httponly=True, samesite="Lax")
        return response

    async def _to_home(self, request: web.Request) -> web.Response:
        _webauth(request)
        raise web.HTTPFound(f"{self.prefix}/")

    async def _to_dashboard(self, request: web.Request) -> web.Response:
        _webauth(request)
        raise web.HTTPFound(f"{self.prefix}/d/nodes/node-overview")

    async def _dashboard(self, request: web.Request) -> web.Response:
        _webauth(request)
        nodes = "".join(f"<li>{escape(node)}: up</li>" for node in self.cluster.nodes)
        return _page(f"Nodes of {self.cluster}", f"<ul>{nodes}</ul>")

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"database": "ok", "version": "demonstration"})

    async def _user(self, request: web.Request) -> web.Response:
        login, role = _webauth(request)
        return web.json_response({"login": login, "orgRole": role, "isExternal": True, "authLabels": ["Auth Proxy"]})

    async def _live(self, request: web.Request) -> web.WebSocketResponse:
        _webauth(request)
        socket = web.WebSocketResponse(max_msg_size=_LONGEST_MESSAGE)
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await socket.send_bytes(message.data)
        return socket


def _webauth(request: web.Request) -> tuple[str, str]:
    login = request.headers.get("X-WEBAUTH-USER")
    if login is None:
        raise web.HTTPUnauthorized(text=json.dumps({"message": "Unauthorized"}), content_type="application/json")
    return login, request.headers.get("X-WEBAUTH-ROLE", "Viewer")


@dataclass(frozen=True, slots=True)
class Prometheus:
    """Knows one series, `up`."""

    cluster: ChildCluster
    prefix: str

    def application(self) -> web.Application:
        """What serves it."""
        application = web.Application()
        api = f"{self.prefix}/api/v1"
        application.add_routes(
            [
                web.get(f"{self.prefix}/", self._to_graph),
                web.get(f"{self.prefix}/graph", self._graph),
                web.get(f"{self.prefix}/-/healthy", self._healthy),
                web.get(f"{api}/query", self._query),
                web.post(f"{api}/query", self._query),
                web.get(f"{api}/label/{{label}}/values", self._label_values),
            ]
        )
        return application

    async def _to_graph(self, _request: web.Request) -> web.Response:
        raise web.HTTPFound(f"{self.prefix}/graph")

    async def _graph(self, _request: web.Request) -> web.Response:
        rows = "".join(f"<li><code>{escape(_series_text(labels))} 1</code></li>" for labels in self._series())
        return _page(f"Prometheus of {self.cluster}", f"<ul>{rows}</ul>")

    async def _healthy(self, _request: web.Request) -> web.Response:
        return web.Response(text="Prometheus Server is Healthy.\n")

    async def _query(self, request: web.Request) -> web.Response:
        # Grafana sends even a query as a form in a POST: read-only work is not always a GET.
        form = await request.post() if request.method == hdrs.METH_POST else {}
        expression = form.get("query", request.query.get("query", ""))
        if not isinstance(expression, str) or not expression.strip():
            error = {
                "status": "error",
                "errorType": "bad_data",
                "error": 'invalid parameter "query": no expression found in input',
            }
            return web.json_response(error, status=HTTPStatus.BAD_REQUEST)
        now = time.time()
        found = [{"metric": labels, "value": [now, "1"]} for labels in self._series()] if expression.strip() == "up" else []
        return _success({"resultType": "vector", "result": found})

    async def _label_values(self, request: web.Request) -> web.Response:
        label = request.match_info["label"]
        return _success(sorted({labels[label] for labels in self._series() if label in labels}))

    def _series(self) -> list[dict[str, str]]:
        shared = {"__name__": "up", "job": "node-exporter", "cluster": self.cluster.name, "project": self.cluster.project}
        return [{**shared, "instance": f"{node}:9100"} for node in self.cluster.nodes]


def _success(found: Any) -> web.Response:
    return web.json_response({"status": "success", "data": found})


def _series_text(labels: dict[str, str]) -> str:
    inner = ", ".join(f'{name}="{value}"' for name, value in labels.items() if name != "__name__")
    return f"{labels['__name__']}{{{inner}}}"


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """Keeps silences in memory."""

    cluster: ChildCluster
    prefix: str
    silences: dict[str, dict[str, Any]] = field(default_factory=dict)

    def application(self) -> web.Application:
        """What serves it."""
        application = web.Application()
        api = f"{self.prefix}/api/v2"
        application.add_routes(
            [
                web.get(f"{self.prefix}/", self._home),
                web.get(f"{api}/status", self._status),
                web.get(f"{api}/alerts", self._alerts),
                web.get(f"{api}/silences", self._list),
                web.post(f"{api}/silences", self._create),
                web.get(f"{api}/silence/{{id}}", self._one),
                web.delete(f"{api}/silence/{{id}}", self._expire),
            ]
        )
        return application

    async def _home(self, _request: web.Request) -> web.Response:
        rows = "".join(f"<li>{escape(str(silence.get('comment')))}</li>" for silence in self.silences.values())
        return _page(f"Alertmanager of {self.cluster}", f"<p>{len(self.silences)} silences</p><ul>{rows}</ul>")

    async def _status(self, _request: web.Request) -> web.Response:
        return web.json_response({"cluster": {"status": "ready", "peers": []}, "versionInfo": {"version": "demonstration"}})

    async def _alerts(self, _request: web.Request) -> web.Response:
        labels = {"alertname": "Watchdog", "severity": "none", "cluster": self.cluster.name}
        state = "suppressed" if self.silences else "active"
        return web.json_response([{"labels": labels, "status": {"state": state, "silencedBy": list(self.silences)}}])

    async def _list(self, _request: web.Request) -> web.Response:
        return web.json_response(list(self.silences.values()))

    async def _create(self, request: web.Request) -> web.Response:
        try:
            wanted = await request.json()
        except ValueError:
            wanted = None
        if not isinstance(wanted, dict) or not wanted.get("matchers"):
            return web.json_response({"code": 400, "message": "silence needs matchers"}, status=HTTPStatus.BAD_REQUEST)
        while len(self.silences) >= _MOST_SILENCES:
            del self.silences[next(iter(self.silences))]
        silence_id = str(uuid.uuid4())
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.silences[silence_id] = wanted | {"id": silence_id, "updatedAt": stamp, "status": {"state": "active"}}
        return web.json_response({"silenceID": silence_id})

    async def _one(self, request: web.Request) -> web.Response:
        silence = self.silences.get(request.match_info["id"])
        return web.json_response(silence) if silence is not None else web.Response(status=HTTPStatus.NOT_FOUND)

    async def _expire(self, request: web.Request) -> web.Response:
        found = self.silences.pop(request.match_info["id"], None)
        return web.Response(status=HTTPStatus.NOT_FOUND if found is None else HTTPStatus.OK)
