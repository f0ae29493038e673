"""What is legal and yet worth a second thought: told to the operator, never refused."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from proxy.directory.build import parse_server_url
from proxy.directory.upstream import Impersonate, PassToken, StaticToken
from proxy.policy.policy import SYSTEM_NAMESPACES
from proxy.settings.files import read
from proxy.settings.model import Settings
from proxy.settings.problems import Problem
from proxy.settings.rooms import upstreams
from proxy.settings.scalars import is_exposed, is_loopback
from proxy.settings.store_url import parse_store_url

_SOON = timedelta(days=14)


def risks(settings: Settings, now: datetime) -> tuple[Problem, ...]:
    """Return the warnings that an operator should see; `now` has a time zone."""
    found = [problem for warn in _WARNINGS for problem in warn(settings)]
    return (*found, *_certificate(settings, now))


def _plain_public_url(settings: Settings) -> Iterator[Problem]:
    if settings.public_url.startswith("http://"):
        yield Problem("public_url", "kubectl sends no credential over http://, and browsers keep no session")


def _plain_listener(settings: Settings) -> Iterator[Problem]:
    if settings.listen.tls is None and not is_loopback(settings.listen.address):
        yield Problem("listen.tls", "absent: tokens arrive in plain text; let nobody but a TLS balancer reach this address")


def _plain_upstreams(settings: Settings) -> Iterator[Problem]:
    for path, upstream in upstreams(settings):
        is_exposed = upstream.scheme == "http" and not is_loopback(upstream.host)
        if is_exposed and isinstance(upstream.credential, PassToken | Impersonate | StaticToken):
            yield Problem(f"{path}.url", "tokens travel to it in plain text: use https://")


def _discovers_nothing(settings: Settings) -> Iterator[Problem]:
    if settings.discovery.enabled and not settings.discovery.allowed_hosts:
        yield Problem("discovery.allowed_hosts", "empty: every discovered server is ignored; name the networks they lie in")


def _reads_objects_in_plain_text(settings: Settings) -> Iterator[Problem]:
    management, given = settings.management, settings.discovery.credential
    if not settings.discovery.enabled or management is None or given is None or given.kind == "none":
        return
    if is_exposed(management.url):
        yield Problem("discovery.credential", "travels to management.url in plain text: use https://")


def _trusts_everybody(settings: Settings) -> Iterator[Problem]:
    for index, network in enumerate(settings.trusted_proxies):
        if network.prefixlen == 0:
            yield Problem(f"trusted_proxies[{index}]", "everybody is believed to be a proxy: any client can claim any address")


def _opened_namespaces(settings: Settings) -> Iterator[Problem]:
    missing = [name for name in SYSTEM_NAMESPACES if name not in settings.policy.system_namespaces]
    if missing:
        yield Problem("policy.system_namespaces", f"lacks {', '.join(missing)}: project roles are judged there as in any project")


def _without_effect(settings: Settings) -> Iterator[Problem]:
    for name in ("sessions", "forward_auth"):
        if settings.sign_in is None and name in settings.model_fields_set:
            yield Problem(name, "has no effect without sign_in")


def _plain_session_server(settings: Settings) -> Iterator[Problem]:
    store = parse_store_url(settings.sessions.store)
    if settings.sign_in is not None and not isinstance(store, Path) and not store.is_tls and not is_loopback(store.host):
        yield Problem("sessions.store", "whoever is on the way can end sessions and see their times: use rediss://")


_WARNINGS: tuple[Callable[[Settings], Iterator[Problem]], ...] = (
    _plain_public_url,
    _plain_listener,
    _plain_upstreams,
    _discovers_nothing,
    _reads_objects_in_plain_text,
    _trusts_everybody,
    _opened_namespaces,
    _without_effect,
    _plain_session_server,
)


def _certificate(settings: Settings, now: datetime) -> Iterator[Problem]:
    if settings.listen.tls is None:
        return
    file = settings.listen.tls.certificate_file
    leaf = x509.load_pem_x509_certificates(read(file))[0]
    end = f"{leaf.not_valid_after_utc:%Y-%m-%d}"
    if leaf.not_valid_after_utc < now:
        yield Problem("listen.tls.certificate_file", f"expired on {end}")
    elif leaf.not_valid_after_utc < now + _SOON:
        yield Problem("listen.tls.certificate_file", f"expires on {end}")
    if leaf.not_valid_before_utc > now:
        yield Problem("listen.tls.certificate_file", f"is not valid before {leaf.not_valid_before_utc:%Y-%m-%d}")
    host = parse_server_url(settings.public_url).host
    if not _covers(leaf, host):
        yield Problem("listen.tls.certificate_file", f"does not name {host}, the host of public_url")


def _covers(certificate: x509.Certificate, host: str) -> bool:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    addresses = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    wildcard = "*." + host.partition(".")[2]
    return host in addresses or any(name.lower() in {host, wildcard} for name in names.get_values_for_type(x509.DNSName))
