"""May I …? The question of a visitor, answered with the words of a refusal."""

from dataclasses import replace

from proxy.console.visit import SiteFacts, Visitor
from proxy.errors import RequestError
from proxy.policy.decision import Denied
from proxy.policy.explanation import Explanation, explain, forbidden_message
from proxy.routing.paths import split_target
from proxy.routing.target import Target


def answer(facts: SiteFacts, visitor: Visitor, method: str, url: str) -> Explanation:
    """Answer for any method and any URL, a path or a whole one; never raises. A refusal is worded as the request's own would be."""
    try:
        asked = _target(facts, method, url)
    except RequestError as error:
        return explain(facts.policy, visitor.roles, error)
    return answer_about(facts, visitor, asked)


def answer_about(facts: SiteFacts, visitor: Visitor, asked: Target) -> Explanation:
    """Answer for a request that was read already."""
    explanation = explain(facts.policy, visitor.roles, asked)
    decision = facts.policy.authorize(visitor.roles, asked)
    if not isinstance(decision, Denied):
        return explanation
    return replace(explanation, reason=forbidden_message(visitor.username, asked, decision, explanation.would_grant))


def _target(facts: SiteFacts, method: str, url: str) -> Target:
    target = url.encode("utf-8", "surrogatepass")
    host = None if target.startswith(b"/") else split_target(target).authority
    return facts.routes.resolve(method, host, target)
