"""Starts everything that stands around the proxy on loopback, and writes the files that it and its users need."""

import os
import secrets
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from proxy.demo.certificates import CertificateAuthority
from proxy.demo.configuration import Server, Stack, configuration
from proxy.demo.files import write_private, yaml_text
from proxy.demo.kubeconfig import kubeconfig
from proxy.demo.kubernetes import ApiServer, child_objects, management_objects
from proxy.demo.kubernetes.documents import Document
from proxy.demo.loopback import ADDRESS, free_port, listening_socket, port_of, serving
from proxy.demo.people import PEOPLE, Person
from proxy.demo.provider import Provider
from proxy.demo.provider.clients import PROXY_CLIENT_ID, PROXY_CLIENT_SECRET
from proxy.demo.scenery import CHILD_CLUSTERS, ChildCluster
from proxy.demo.stacklight import Alertmanager, Grafana, Prometheus

PROXY_USER = "mosk-proxy"  # who the proxy is to the Kubernetes APIs when it impersonates others
TOKEN_SECONDS = 24 * 3600  # the longest life that the proxy believes by default
FIRST_CONTEXT = "kaas-writer@kaas"


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What is running, and where its files lie; `tokens` are the users' bearer tokens."""

    folder: Path
    proxy_url: str
    issuer: str
    tokens: Mapping[Person, str] = field(repr=False)

    @property
    def config_file(self) -> Path:
        """The proxy's configuration."""
        return self.folder / "mosk-proxy.yaml"

    @property
    def kubeconfig_file(self) -> Path:
        """For `KUBECONFIG`."""
        return self.folder / "kubeconfig"

    @property
    def authority_file(self) -> Path:
        """The authority that signed every certificate here."""
        return self.folder / "ca.crt"

    @property
    def audit_file(self) -> Path:
        """Where the proxy writes its audit lines."""
        return self.folder / "audit.log"

    def trust(self) -> ssl.SSLContext:
        """What a client needs to believe the proxy's certificate."""
        return ssl.create_default_context(cafile=self.authority_file)


@asynccontextmanager
async def demonstration(port: int) -> AsyncIterator[Demonstration]:
    """Run the surroundings of a proxy that will listen on `port` of 127.0.0.1, on a free one for 0; raises OSError if it is taken.

    The folder with keys and tokens is private to its owner and goes with the context.
    """
    proxy_port = _checked(port)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mosk-proxy-demo-")))
        surroundings = _Surroundings(stack, folder, f"https://{ADDRESS}:{proxy_port}")
        provider = await surroundings.start_provider()
        management = await surroundings.start_api("kaas", management_objects())
        stacks = [await surroundings.start_stack(cluster) for cluster in CHILD_CLUSTERS]
        surroundings.authority.issue("proxy")
        document = configuration(proxy_port, free_port(), provider.issuer, folder / "sessions.db", management, stacks)
        write_private(folder / "sign-in.secret", PROXY_CLIENT_SECRET)
        tokens = {person: provider.mint_id_token(person, PROXY_CLIENT_ID, TOKEN_SECONDS) for person in PEOPLE}
        running = Demonstration(folder, surroundings.proxy_url, provider.issuer, tokens)
        write_private(running.config_file, yaml_text(document))
        pem = running.authority_file.read_bytes()
        write_private(running.kubeconfig_file, kubeconfig(running.proxy_url, pem, CHILD_CLUSTERS, tokens, FIRST_CONTEXT))
        yield running


def _checked(port: int) -> int:
    try:
        return free_port(port)
    except OSError as error:
        remedy = f"{os.strerror(error.errno or 0)}; choose another with --port, 0 for a free one"
        raise OSError(error.errno, remedy, f"{ADDRESS}:{port}") from None


class _Surroundings:
    """Starts servers that end with the stack."""

    def __init__(self, stack: AsyncExitStack, folder: Path, proxy_url: str) -> None:
        self._stack, self._folder, self.proxy_url = stack, folder, proxy_url
        self.authority = CertificateAuthority(folder)

    async def start_provider(self) -> Provider:
        listener = self._stack.enter_context(listening_socket())
        provider = Provider(f"https://{ADDRESS}:{port_of(listener)}", self.proxy_url)
        certificate = self.authority.issue("provider").ssl_context()
        await self._stack.enter_async_context(serving(provider.application(), listener, certificate))
        return provider

    async def start_api(self, name: str, objects: Iterable[Document]) -> Server:
        token = secrets.token_urlsafe(32)
        write_private(self._folder / f"{name}.token", token)
        server = ApiServer(objects, name=name, tokens={token: PROXY_USER})
        self._stack.push_async_callback(server.stop)
        port = await server.start(ADDRESS, 0, self.authority.issue(name).ssl_context())
        return Server(f"https://{ADDRESS}:{port}", f"{name}.token")

    async def start_stack(self, cluster: ChildCluster) -> Stack:
        prefix = f"/sl/{cluster}"
        return Stack(
            cluster=cluster,
            api=await self.start_api(f"{cluster.project}-{cluster.name}", child_objects(cluster.name)),
            grafana_url=await self._start_application(Grafana(cluster, f"{prefix}/grafana").application()),
            prometheus_url=await self._start_application(Prometheus(cluster, f"{prefix}/prometheus").application()),
            alertmanager_url=await self._start_application(Alertmanager(cluster, "").application()),
        )

    async def _start_application(self, application: web.Application) -> str:
        return await self._stack.enter_async_context(serving(application, listening_socket()))
