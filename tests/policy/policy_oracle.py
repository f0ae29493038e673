"""A second reading of the policy page, written as plainly as the page and sharing nothing with the product but its words.

It knows only well-formed URLs of the shapes that `test_policy_oracle` generates.
"""

SYSTEM = {
    "kube-system",
    "kube-public",
    "kube-node-lease",
    "openstack-provider-system",
    "system",
    "kaas",
    "lcm-system",
    "istio-system",
    "stacklight",
}
COLUMNS = [
    ["m:kaas@global-admin"],
    ["m:kaas@management-admin"],
    ["m:kaas@operator"],
    ["m:kaas@writer"],
    ["m:kaas@reader"],
    ["m:kaas:<ns>@writer"],
    ["m:kaas:<ns>@operator"],
    ["m:kaas:<ns>@member"],
    ["m:kaas:<ns>@reader", "m:kaas:<ns>@user"],
    ["m:kaas:<ns>@bm-pool-operator"],
    ["m:k8s:<ns>:<c>@cluster-admin"],
    ["m:sl:<ns>:<c>@admin", "m:sl:<ns>:<c>@stacklight-admin"],
]
TABLE = """
self_review            | rw | rw | rw | rw | rw | rw | rw | rw | rw | rw | -  | -
discovery              | r  | r  | r  | r  | r  | r  | r  | r  | r  | r  | -  | -
project_names          | r  | r  | r  | r  | r  | r  | r  | r  | r  | r  | -  | -
projects               | rw | rw | r  | rw | r  | r  | r  | r  | r  | r  | -  | -
project_objects        | -  | rw | -  | rw | r  | rw | rw | rw | r  | -  | -  | -
bare_metal             | -  | rw | rw | rw | r  | rw | r  | r  | r  | rw | -  | -
bare_metal_credentials | -  | rw | rw | rw | -  | rw | -  | -  | -  | rw | -  | -
secrets                | -  | rw | -  | rw | -  | rw | rw | rw | -  | -  | -  | -
iam_bindings           | rw | rw | -  | rw | r  | rw | rw | -  | r  | -  | -  | -
iam_global_bindings    | rw | rw | -  | -  | -  | -  | -  | -  | -  | -  | -  | -
iam_catalog            | r  | rw | r  | r  | r  | r  | r  | r  | r  | r  | -  | -
releases               | r  | rw | r  | r  | r  | r  | r  | r  | r  | r  | -  | -
management_cluster     | -  | rw | -  | -  | -  | -  | -  | -  | -  | -  | -  | -
cluster_api            | -  | -  | -  | rw | -  | rw | rw | rw | -  | -  | rw | -
stacklight             | -  | -  | -  | rw | -  | rw | rw | rw | -  | -  | rw | rw
"""
CELLS = {
    (surface.strip(), role): cell.strip()
    for line in TABLE.strip().splitlines()
    for surface, *cells in [line.split("|")]
    for roles, cell in zip(COLUMNS, cells, strict=True)
    for role in roles
}
UNBOUND = {"self_review", "discovery", "project_names", "iam_catalog", "releases"}
SECRET_HOLDERS = {"clusteroidcconfigurations", "serviceusers", "rhellicenses", "tlsconfigs", "proxies"}
CONNECT = {"exec", "attach", "portforward", "proxy"}


def holds(surface, role, write):
    cell = CELLS[surface, role]
    return cell == "rw" or (cell == "r" and not write)


def read_url(method, url):
    """Return group, resource, namespace, name, write, verb; resource None and the path as name for non-resource requests."""
    path, _, query = url.partition("?")
    parts = [part for part in path.split("/") if part]
    if not (parts[:1] == ["api"] and len(parts) > 2) and not (parts[:1] == ["apis"] and len(parts) > 3):
        return "", None, None, "/" + "/".join(parts), method not in {"GET", "HEAD"}, method.lower()
    group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
    old = rest.pop(0) if rest[0] in {"watch", "proxy"} else None
    namespace = None
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in {"status", "finalize"}:
            rest = rest[2:]
    resource, name, subresource = [*rest, None, None][:3]
    verb = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(
        method, "options"
    )
    if name is None:
        collection = {"get": "watch" if "watch=1" in query else "list", "delete": "deletecollection"}
        verb = collection.get(verb, verb)
    verb = old or verb
    if name is None and verb in {"list", "watch"} and "fieldSelector=metadata.name=" in query:
        name = query.split("fieldSelector=metadata.name=")[1].split("&")[0]
    write = method not in {"GET", "HEAD"} or subresource in CONNECT or old == "proxy"
    return group, resource, namespace, name, write, verb


def surface_of(method, url):
    group, resource, namespace, name, write, verb = read_url(method, url)
    if resource is None:
        parts = name.strip("/").split("/")
        known = name in {"/", "/api", "/apis", "/api/v1", "/version"} or (parts[0] == "apis" and len(parts) <= 3)
        if not write and (known or (parts[0] == "openapi" and len(parts) > 1)):
            return "discovery"
        return "management_cluster"
    core_namespaces = group == "" and resource == "namespaces"
    in_default_or_none = namespace in {"default", None}
    holds_secrets = (group == "" and resource == "secrets") or (
        group == "kaas.mirantis.com"
        and (resource in SECRET_HOLDERS or (resource.endswith("credentials") and resource != "baremetalhostcredentials"))
    )
    runs_code = (group == "lcm.mirantis.com" and resource == "helmbundles") or resource in {
        "hostosconfigurations",
        "hostosconfigurationmodules",
    }
    bindings = group == "iam.mirantis.com" and resource in {"iamrolebindings", "iamclusterrolebindings"}
    reviews = {
        "authorization.k8s.io": {"selfsubjectaccessreviews", "selfsubjectrulesreviews"},
        "authentication.k8s.io": {"selfsubjectreviews"},
    }
    releases = {"kaasreleases", "clusterreleases", "mccupgrades", "licenses", "unsupportedclusters"}
    maintenance = {
        "nodemaintenancerequests",
        "clustermaintenancerequests",
        "nodeworkloadlocks",
        "clusterworkloadlocks",
        "nodedeletionrequests",
    }
    rows = [
        ("self_review", method == "POST" and resource in reviews.get(group, set())),
        ("discovery", group == "apiextensions.k8s.io" and resource == "customresourcedefinitions" and not write),
        ("management_cluster", namespace in SYSTEM and not core_namespaces),
        ("management_cluster", core_namespaces and name in SYSTEM and write),
        ("management_cluster", core_namespaces and name == "default" and verb == "delete"),
        ("project_names", core_namespaces and name is None and verb in {"list", "watch"} and not write),
        ("projects", core_namespaces and (name is not None or verb == "create")),
        ("management_cluster", holds_secrets and in_default_or_none),
        ("management_cluster", runs_code and (namespace == "default" or (namespace is None and write))),
        ("management_cluster", group == "iam.mirantis.com" and resource == "clusterredirects"),
        ("bare_metal", group == "metal3.io" or (group == "kaas.mirantis.com" and resource == "baremetalhostinventories")),
        ("bare_metal_credentials", group == "kaas.mirantis.com" and resource == "baremetalhostcredentials"),
        ("secrets", holds_secrets),
        ("iam_global_bindings", group == "iam.mirantis.com" and resource == "iamglobalrolebindings"),
        ("iam_global_bindings", bindings and write and in_default_or_none),
        ("iam_bindings", bindings),
        ("iam_catalog", group == "iam.mirantis.com" and resource in {"iamusers", "iamroles", "scopes"}),
        ("releases", group == "kaas.mirantis.com" and resource in releases),
        ("management_cluster", group == "lcm.mirantis.com" and resource in maintenance),
        ("project_objects", group in {f"{name}.mirantis.com" for name in ("kaas", "lcm", "ipam", "dns")} | {"cluster.k8s.io"}),
        ("project_objects", (group == "" and resource == "events") or group == "events.k8s.io"),
    ]
    return next((surface for surface, fits in rows if fits), "management_cluster")


def expand(roles):
    """Return the roles and all they include, as far as projects and clusters are named `a`, `b`, `default`, `kaas` and `c`, `it`."""
    roles, size = set(roles), 0
    projects, clusters = ["a", "b", "default", "kaas"], ["c", "it"]
    while size != len(roles):
        size = len(roles)
        for ns in projects:
            if "m:kaas@writer" in roles:
                roles.add(f"m:kaas:{ns}@writer")
            if "m:kaas@reader" in roles:
                roles.add(f"m:kaas:{ns}@reader")
            if "m:kaas@operator" in roles:
                roles.add(f"m:kaas:{ns}@bm-pool-operator")
            for cluster in clusters:
                if roles & {f"m:kaas:{ns}@{name}" for name in ("writer", "operator", "member")}:
                    roles.add(f"m:k8s:{ns}:{cluster}@cluster-admin")
                if f"m:k8s:{ns}:{cluster}@cluster-admin" in roles:
                    roles.add(f"m:sl:{ns}:{cluster}@stacklight-admin")
    return roles


def allowed(roles, method, url, management=None):
    """Judge `/kaas/…`, `/k8s/<ns>/<cluster>/…` and `/sl/<ns>/<cluster>/<app>/…`."""
    world, _, rest = url[1:].partition("/")
    if world == "kaas":
        return _management_api(roles, method, "/" + rest)
    namespace, cluster, *_ = rest.split("/")
    is_management = namespace == "default" if management is None else (namespace, cluster) == management
    if not is_management and namespace not in SYSTEM:
        roles = expand(roles)
    own_api, own_sl = f"m:k8s:{namespace}:{cluster}@cluster-admin", f"m:sl:{namespace}:{cluster}@"
    if world == "sl":
        return any(own_sl + name in roles for name in ("admin", "stacklight-admin"))
    return own_api in roles or (is_management and "m:kaas@management-admin" in roles)


def _management_api(roles, method, url):
    surface = surface_of(method, url)
    group, resource, namespace, name, write, _ = read_url(method, url)
    project = name if group == "" and resource == "namespaces" else namespace
    if resource is None:
        project = None
    for role in roles:
        scope, _, title = role.partition("@")
        _, world, *place = scope.split(":")
        pattern = ":".join(["m", world, *["<ns>", "<c>"][: len(place)]]) + "@" + title
        in_reach = not place or surface in UNBOUND or (len(place) == 1 and place[0] == project)
        if in_reach and holds(surface, pattern, write):
            return True
    return False
