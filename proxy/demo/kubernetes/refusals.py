"""Requests that end in a Status object: the codes, reasons and wording that kubectl shows.

Reasons and their status codes: k8s.io/apimachinery/pkg/api/errors/errors.go.
"""

from collections.abc import Iterable

from proxy.demo.kubernetes.documents import Document


class Refused(Exception):
    """Carries the Status object that answers the request."""

    def __init__(self, code: int, reason: str, message: str, details: Document | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def status(self) -> Document:
        """The answer's body."""
        status: Document = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.details is not None:
            status["details"] = self.details
        return {**status, "code": self.code}


def qualified(group: str, plural: str) -> str:
    """`deployments.apps`, `pods`."""
    return f"{plural}.{group}" if group else plural


def bad_request(message: str) -> Refused:
    return Refused(400, "BadRequest", message)


def unauthorized() -> Refused:
    return Refused(401, "Unauthorized", "Unauthorized")


def no_such_path() -> Refused:
    return Refused(404, "NotFound", "the server could not find the requested resource", {})


def not_found(group: str, plural: str, name: str) -> Refused:
    return Refused(404, "NotFound", f'{qualified(group, plural)} "{name}" not found', _details(group, plural, name))


def method_not_allowed(method: str) -> Refused:
    return Refused(405, "MethodNotAllowed", f"the server does not allow {method} on the requested resource", {})


def already_exists(group: str, plural: str, name: str) -> Refused:
    return Refused(409, "AlreadyExists", f'{qualified(group, plural)} "{name}" already exists', _details(group, plural, name))


def conflict(group: str, plural: str, name: str, why: str) -> Refused:
    message = f'Operation cannot be fulfilled on {qualified(group, plural)} "{name}": {why}'
    return Refused(409, "Conflict", message, _details(group, plural, name))


def stale(group: str, plural: str, name: str) -> Refused:
    """The resourceVersion sent is not the stored one."""
    why = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(group, plural, name, why)


def field_conflicts(causes: Iterable[tuple[str, str]]) -> Refused:
    """Server-side apply met fields of others; causes are (manager, field path)."""
    rows = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {manager}", "field": field} for manager, field in causes
    ]
    plural = "conflict" if len(rows) == 1 else "conflicts"
    lines = "".join(f"\n- {row['field']}: {row['message']}" for row in rows)
    return Refused(409, "Conflict", f"Apply failed with {len(rows)} {plural}:{lines}", {"causes": rows})


def gone(message: str) -> Refused:
    return Refused(410, "Expired", message)


def unsupported_media_type(accepted: Iterable[str]) -> Refused:
    listed = ", ".join(accepted)
    message = f"the body of the request was in an unknown format - accepted media types include: {listed}"
    return Refused(415, "UnsupportedMediaType", message, {})


def invalid(kind: str, name: str, problems: Iterable[tuple[str, str]], group: str = "") -> Refused:
    """The object breaks its schema; problems are (field path, message)."""
    causes = [{"reason": "FieldValueInvalid", "message": message, "field": field} for field, message in problems]
    listed = ", ".join(f"{cause['field']}: {cause['message']}" for cause in causes)
    text = f"[{listed}]" if len(causes) > 1 else listed
    details = {"name": name, "group": group, "kind": kind, "causes": causes}
    return Refused(422, "Invalid", f'{qualified(group, kind)} "{name}" is invalid: {text}', details)


def _details(group: str, plural: str, name: str) -> Document:
    return {"name": name, **({"group": group} if group else {}), "kind": plural}
