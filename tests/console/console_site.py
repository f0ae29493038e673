"""A console with a small installation behind it, as its tests visit it."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

from proxy.console.application import application
from proxy.console.visit import SiteFacts, TokenSource, Visitor
from proxy.directory.clusters import Directory
from proxy.directory.upstream import Upstream
from proxy.errors import Unavailable
from proxy.policy.permissions import load_permissions, shipped_permissions_text
from proxy.policy.policy import SYSTEM_NAMESPACES, Policy
from proxy.policy.roles import RoleSet
from proxy.routing.routes import Routes
from proxy.routing.target import ClusterRef

NOW = 1_800_000_000.0
ENTRY = "https://entry.example"
POLICY = Policy(
    load_permissions(shipped_permissions_text(), "shipped"), frozenset(SYSTEM_NAMESPACES), ClusterRef("default", "kaas-mgmt")
)
ROUTES = Routes(frozenset({"entry.example"}), "ui.example")
HOSTILE = "\"><script>alert(1)</script>'&{{7*7}}\u202e"


def upstream(name: str) -> Upstream:
    return Upstream(name, "https", "192.0.2.1", 443)


def directory(*clusters: str, apps: tuple[str, ...] = ("grafana", "prometheus"), management: bool = True) -> Directory:
    refs = [ClusterRef(*cluster.split("/")) for cluster in clusters]
    return Directory(
        upstream("kaas") if management else None,
        {ref: upstream(f"k8s/{ref}") for ref in refs},
        {(ref, app): upstream(f"sl/{ref}/{app}") for ref in refs for app in apps},
    )


def facts(*clusters: str, **changes) -> SiteFacts:
    own = {
        "policy": POLICY,
        "directory": directory(*(clusters or ("a/prod", "a/test", "b/prod", "default/kaas-mgmt"))),
        "routes": ROUTES,
        "public_url": ENTRY,
        "tokens": TokenSource("https://keycloak.example/realms/iam", "kaas", ("openid", "offline_access")),
    }
    return SiteFacts(**(own | changes))


def visitor(*roles: str, **changes) -> Visitor:
    own = {"username": "ann", "issuer": "https://keycloak.example/realms/iam", "ends_at": NOW + 5400, "session": "mine"}
    return Visitor(roles=RoleSet.from_strings(roles), **(own | changes))


@dataclass(frozen=True)
class Row:
    label: str
    is_this: bool
    device: str = "Firefox on Linux"
    address: str = "192.0.2.7"
    created_at: float = NOW - 3600
    last_seen: float = NOW - 60
    ends_at: float = NOW + 5400


@dataclass
class Sessions:
    """The sessions of everybody, by username; with `is_down`, a store that does not answer."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    is_down: bool = False

    def _of(self, who: Visitor) -> list[Row]:
        if self.is_down:
            raise Unavailable("the session store is not available", retry_after=5)
        return self.rows.get(who.username, [])

    async def own(self, who):
        return self._of(who)

    async def end(self, who, label):
        kept = [row for row in self._of(who) if row.label != label]
        is_ended = len(kept) < len(self._of(who))
        self.rows[who.username] = kept
        return is_ended

    async def end_others(self, who):
        kept = [row for row in self._of(who) if row.label == who.session]
        ended = len(self._of(who)) - len(kept)
        self.rows[who.username] = kept
        return ended


def console(who=None, site=None, sessions=None, resolve=None):
    site = site or facts()
    return application(resolve or (lambda _request: who), lambda: site, sessions or Sessions(), clock=lambda: NOW)


VOID = {"meta", "link", "input", "br", "hr", "img"}


class Page(HTMLParser):
    """A page taken apart: every tag must be closed by its own end tag, every id be there once; nothing inline may run or style."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text, self.links, self.forms, self.tags, self.ids = "", [], [], [], []
        self._open: list[str] = []
        assert text.startswith("<!doctype html>\n")
        self.feed(text)
        self.close()
        assert self._open == [], f"never closed: {self._open}"
        assert len(self.ids) == len(set(self.ids))

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, attrs)
        values = dict(attrs)
        assert "style" not in values, (tag, attrs)
        assert not any(name.startswith("on") for name in values), (tag, attrs)
        assert tag != "style", "inline style"
        self.tags.append((tag, values))
        self.ids += [values["id"]] if "id" in values else []
        if tag == "a":
            self.links.append(values["href"])
        if tag == "form":
            self.forms.append((values["method"], values["action"]))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open, f"</{tag}> ends nothing"
        assert self._open.pop() == tag

    def handle_data(self, data):
        assert not (self._open and self._open[-1] == "script" and data.strip()), "inline script"
        self.text += data


async def page(client, path, status=200, **request) -> Page:
    answer = await client.get(path, allow_redirects=False, **request)
    text = await answer.text()
    assert answer.status == status, text
    return Page(text)
