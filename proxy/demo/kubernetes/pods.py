"""The subresources of pods: log, exec, attach, port-forward, eviction and proxy."""

import contextlib
import time
from collections.abc import Mapping

from aiohttp import web

from proxy.demo.kubernetes import pod_logs, port_forward, remote_command
from proxy.demo.kubernetes.calls import Call, answer
from proxy.demo.kubernetes.documents import Document, dig, parse_timestamp
from proxy.demo.kubernetes.file_system import FileSystem
from proxy.demo.kubernetes.objects import Objects
from proxy.demo.kubernetes.pod_logs import LogOptions, LogSource
from proxy.demo.kubernetes.process import Session
from proxy.demo.kubernetes.refusals import bad_request, method_not_allowed
from proxy.demo.kubernetes.shell import Shell
from proxy.demo.kubernetes.standard_streams import StandardStreams, Wanted
from proxy.demo.kubernetes.terminal import Terminal


class Pods:
    """Serves what runs in pods; the files of a pod live as long as its uid."""

    def __init__(self, objects: Objects, cluster: str) -> None:
        self._objects = objects
        self._cluster = cluster
        self._started = time.time()
        self._files: dict[tuple[str, str], FileSystem] = {}

    async def serve(self, call: Call) -> web.StreamResponse:
        """Raises Refused: 400, 404, 405."""
        pod = self._objects.get(call.place())
        self._forget_gone(pod)
        method = call.request.method
        match call.subresource:
            case "log" if method == "GET":
                return await self._log(call, pod)
            case "exec" if method in ("GET", "POST"):
                return await self._exec(call, pod)
            case "attach" if method in ("GET", "POST"):
                return await self._attach(call, pod)
            case "portforward" if method in ("GET", "POST"):
                return await port_forward.serve(call.request, pod)
            case "eviction" if method == "POST":
                self._objects.delete(call.place(), {})
                return answer({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}, code=201)
            case _:
                raise method_not_allowed(method)

    async def _log(self, call: Call, pod: Document) -> web.StreamResponse:
        source = self._source(pod, _container(call, pod))
        options = _log_options(call)
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(call.request)
        with contextlib.suppress(ConnectionResetError):  # the client is gone
            async with contextlib.aclosing(pod_logs.read(source, options)) as lines:
                async for line in lines:
                    await response.write(line)
                    if not self._objects.exists(call.place(), pod):
                        break
            await response.write_eof()
        return response

    async def _exec(self, call: Call, pod: Document) -> web.StreamResponse:
        container = _container(call, pod)
        words = call.request.query.getall("command", [])
        if not words:
            raise bad_request("you must specify at least one command for the container")

        async def command(streams: StandardStreams) -> int:
            session = self._session(pod, container, streams)
            if streams.tty:
                return await Terminal(streams).run(session, words)
            return await Shell(session, streams).execute(words)

        return await remote_command.serve(call.request, _wanted(call), command)

    async def _attach(self, call: Call, pod: Document) -> web.StreamResponse:
        source = self._source(pod, _container(call, pod))

        async def command(streams: StandardStreams) -> int:
            async with contextlib.aclosing(pod_logs.read(source, LogOptions(follow=True, tail=0))) as lines:
                async for line in lines:
                    await streams.stdout(line.replace(b"\n", b"\r\n") if streams.tty else line)
            return 0

        return await remote_command.serve(call.request, _wanted(call), command)

    def _source(self, pod: Document, container: str) -> LogSource:
        began = pod_logs.began(dig(pod, "status", "startTime"), self._started)
        return LogSource(pod["metadata"]["name"], container, began)

    def _session(self, pod: Document, container: str, streams: StandardStreams) -> Session:
        key = (pod["metadata"]["uid"], container)
        if key not in self._files:
            self._files[key] = FileSystem(_first_files(pod, container, self._cluster))
        return Session(self._files[key], dict(_environment(pod, container)), streams.window)

    def _forget_gone(self, pod: Document) -> None:
        # bounded: a pod's files go when too many others came after them
        keys = [key for key in self._files if key[0] != pod["metadata"]["uid"]]
        for key in keys[: max(0, len(self._files) - 64)]:
            del self._files[key]


def _container(call: Call, pod: Document) -> str:
    names = [container["name"] for container in dig(pod, "spec", "containers", default=[])]
    wanted = call.query.get("container")
    name = pod["metadata"]["name"]
    if not wanted and len(names) == 1:
        return str(names[0])
    if not wanted:
        raise bad_request(f"a container name must be specified for pod {name}, choose one of: {names}")
    if wanted not in names:
        raise bad_request(f"container {wanted} is not valid for pod {name}")
    return wanted


def _wanted(call: Call) -> Wanted:
    return Wanted(call.flag("stdin"), call.flag("stdout"), call.flag("stderr"), call.flag("tty"))


def _log_options(call: Call) -> LogOptions:
    since = call.number("sinceSeconds")
    moment = time.time() - since if since is not None else None
    if text := call.query.get("sinceTime"):
        try:
            moment = parse_timestamp(text).timestamp()
        except ValueError as error:
            raise bad_request(f"invalid value for sinceTime: {text!r}") from error
    return LogOptions(call.flag("follow"), call.number("tailLines"), moment, call.flag("timestamps"), call.number("limitBytes"))


def _environment(pod: Document, container: str) -> Mapping[str, str]:
    declared = next(each for each in pod["spec"]["containers"] if each["name"] == container).get("env") or ()
    return {
        "HOME": "/root",
        "HOSTNAME": pod["metadata"]["name"],
        "KUBERNETES_SERVICE_HOST": "10.96.0.1",
        "PATH": "/usr/bin:/bin",
        **{variable["name"]: variable.get("value", "") for variable in declared},
    }


def _first_files(pod: Document, container: str, cluster: str) -> Mapping[str, bytes]:
    metadata = pod["metadata"]
    welcome = f"Pod {metadata.get('namespace')}/{metadata['name']}, container {container}, cluster {cluster}.\n"
    return {
        "/etc/hostname": f"{metadata['name']}\n".encode(),
        "/etc/motd": welcome.encode(),
        "/etc/os-release": b'NAME="Demonstration"\nID=demo\n',
        "/var/run/secrets/kubernetes.io/serviceaccount/namespace": str(metadata.get("namespace")).encode(),
    }
