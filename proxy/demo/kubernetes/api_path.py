"""What a URL path names: group, version, namespace, resource, name, subresource."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApiPath:
    """A path below /api/v1 or /apis/<group>/<version>; `rest` is what follows a proxy subresource."""

    group: str
    version: str
    namespace: str | None
    resource: str
    name: str | None = None
    subresource: str | None = None
    rest: str = ""


def parse(path: str) -> ApiPath | None:
    """None when the path is not that of a resource."""
    group, version, segments = _group_version(path.strip("/").split("/"))
    if not version or not segments or not all(segments):
        return None
    namespace = None
    # namespaces/<name> and its own subresources are the Namespace object itself, not something inside it
    if segments[0] == "namespaces" and len(segments) > 2 and segments[2] not in ("status", "finalize"):
        namespace, segments = segments[1], segments[2:]
    resource, name, subresource, *rest = [*segments, None, None, None][: max(3, len(segments))]
    if resource is None or (rest and subresource != "proxy"):
        return None
    return ApiPath(group, version, namespace, resource, name, subresource, "/".join(part or "" for part in rest))


def _group_version(segments: list[str]) -> tuple[str, str, list[str]]:
    match segments:
        case ["api", version, *rest]:
            return "", version, rest
        case ["apis", group, version, *rest]:
            return group, version, rest
        case _:
            return "", "", []
