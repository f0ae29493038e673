"""What a user asks about themselves: who am I, may I, what may I. Here everybody who has a token may do everything."""

from collections.abc import Callable, Mapping

from aiohttp import web

from proxy.demo.kubernetes import calls
from proxy.demo.kubernetes.access import Caller
from proxy.demo.kubernetes.calls import Call, answer
from proxy.demo.kubernetes.documents import Document
from proxy.demo.kubernetes.refusals import bad_request


async def review(call: Call) -> web.Response:
    """The review object with its status; raises Refused (400)."""
    body = await calls.body_document(call.request)
    if not isinstance(body, dict) or body.get("kind", call.resource.kind) != call.resource.kind:
        raise bad_request(f"the body of the request is no {call.resource.kind}")
    kinds = {"kind": call.resource.kind, "apiVersion": call.resource.api_version}
    status = _STATUS[call.resource.kind](call.caller)
    return answer({**kinds, "metadata": {"creationTimestamp": None}, "spec": body.get("spec", {}), "status": status}, code=201)


def _access(caller: Caller) -> Document:
    return {"allowed": True, "reason": f"the demonstration API allows everything to {caller.user}"}


def _rules(_: Caller) -> Document:
    return {
        "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        "incomplete": False,
    }


def _self(caller: Caller) -> Document:
    return {"userInfo": caller.user_info()}


_STATUS: Mapping[str, Callable[[Caller], Document]] = {
    "SelfSubjectAccessReview": _access,
    "SelfSubjectReview": _self,
    "SelfSubjectRulesReview": _rules,
}
