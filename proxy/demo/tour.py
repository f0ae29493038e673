"""The tour: every sample user asks the running proxy every question of a list, and the answers are held against the policy.

What is expected stands here as a table written by hand from the policy's page, on purpose not worked out by the policy's own code.
"""

import asyncio
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal, TypeAlias

import aiohttp
from rich.table import Table
from rich.text import Text

from proxy.demo.people import PEOPLE, Person

Expectation: TypeAlias = Literal["+", "-", "0"]  # allowed, refused, not signed in
NOBODY = "(no token)"
_SECONDS = 30
_DRY_RUN = "?dryRun=All"
_MERGE_PATCH = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Question:
    """One request of the tour; those that write are dry runs."""

    says: str
    method: str
    path: str
    body: Mapping[str, Any] | None = None


QUESTIONS = (
    Question("list the projects", "GET", "/kaas/api/v1/namespaces"),
    Question(
        "create a project",
        "POST",
        f"/kaas/api/v1/namespaces{_DRY_RUN}",
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-c"}},
    ),
    Question("read the clusters of team-a", "GET", "/kaas/apis/cluster.k8s.io/v1alpha1/namespaces/team-a/clusters"),
    Question(
        "upgrade cluster team-a/prod",
        "PATCH",
        f"/kaas/apis/cluster.k8s.io/v1alpha1/namespaces/team-a/clusters/prod{_DRY_RUN}",
        {"spec": {"providerSpec": {"value": {"release": "mosk-17-4-1-25-1-1"}}}},
    ),
    Question("read the machines of all projects", "GET", "/kaas/apis/cluster.k8s.io/v1alpha1/machines"),
    Question("read the bare metal of team-a", "GET", "/kaas/apis/metal3.io/v1alpha1/namespaces/team-a/baremetalhosts"),
    Question(
        "add bare metal to team-a",
        "POST",
        f"/kaas/apis/metal3.io/v1alpha1/namespaces/team-a/baremetalhosts{_DRY_RUN}",
        {"apiVersion": "metal3.io/v1alpha1", "kind": "BareMetalHost", "metadata": {"name": "tour", "namespace": "team-a"}},
    ),
    Question("read the secrets of team-a", "GET", "/kaas/api/v1/namespaces/team-a/secrets"),
    Question("read the role bindings of team-a", "GET", "/kaas/apis/iam.mirantis.com/v1alpha1/namespaces/team-a/iamrolebindings"),
    Question("read the management cluster's secrets", "GET", "/kaas/api/v1/namespaces/kaas/secrets"),
    Question("read the pods of team-a/prod", "GET", "/k8s/team-a/prod/api/v1/pods"),
    Question("read the pods of team-b/dev", "GET", "/k8s/team-b/dev/api/v1/pods"),
    Question("open Grafana of team-a/prod", "GET", "/sl/team-a/prod/grafana/api/user"),
    Question("ask Prometheus of team-b/dev", "GET", "/sl/team-b/dev/prometheus/api/v1/query?query=up"),
)

# One sign for each question, in their order.
EXPECTED: Mapping[str, str] = {
    #                          1 2 3 4 5 6 7 8 9 . 1 2 3 4
    "kaas-global-admin":       "+ + - - - - - - + - - - - -",
    "kaas-management-admin":   "+ + + + + + + + + + - - - -",
    "kaas-operator":           "+ - - - - + + - - - - - - -",
    "kaas-writer":             "+ + + + + + + + + - + + + +",
    "kaas-reader":             "+ - + - + + - - + - - - - -",
    "team-a-writer":           "+ - + + - + + + + - + - + -",
    "team-a-operator":         "+ - + + - + - + + - + - + -",
    "team-a-member":           "+ - + + - + - + - - + - + -",
    "team-a-reader":           "+ - + - - + - - + - - - - -",
    "team-a-user":             "+ - + - - + - - + - - - - -",
    "team-a-bm-pool-operator": "+ - - - - + + - - - - - - -",
    "prod-cluster-admin":      "- - - - - - - - - - + - + -",
    "prod-sl-admin":           "- - - - - - - - - - - - + -",
    "prod-stacklight-admin":   "- - - - - - - - - - - - + -",
    "team-b-writer":           "+ - - - - - - - - - - + - +",
    "team-b-reader":           "+ - - - - - - - - - - - - -",
    "dev-cluster-admin":       "- - - - - - - - - - - + - +",
    "team-a-and-b-reader":     "+ - + - - + - - + - - - - -",
    "no-roles":                "- - - - - - - - - - - - - -",
    NOBODY:                    "0 0 0 0 0 0 0 0 0 0 0 0 0 0",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """What the proxy answered to one user's question; `status` is None when it did not answer at all."""

    username: str
    question: Question
    expected: Expectation
    status: int | None

    @property
    def is_allowed(self) -> bool:
        """Whether it let the request through and the upstream agreed."""
        return self.status is not None and HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def is_expected(self) -> bool:
        """Whether the policy says so."""
        match self.expected:
            case "+":
                return self.is_allowed
            case "-":
                return self.status == HTTPStatus.FORBIDDEN
            case "0":
                return self.status == HTTPStatus.UNAUTHORIZED


async def take(proxy_url: str, trust: ssl.SSLContext, tokens: Mapping[Person, str]) -> list[Answer]:
    """Ask every question as every user of PEOPLE and as nobody; `tokens` are their bearer tokens."""
    askers = [*((person.username, tokens[person]) for person in PEOPLE), (NOBODY, None)]
    connector = aiohttp.TCPConnector(ssl=trust, limit=len(QUESTIONS))
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    answers: list[Answer] = []
    async with aiohttp.ClientSession(proxy_url, connector=connector, timeout=timeout) as http:
        for username, token in askers:
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(_ask(http, question, token), name=f"tour: {question.says}") for question in QUESTIONS]
            for question, sign, task in zip(QUESTIONS, _signs(username), asked, strict=True):
                answers.append(Answer(username, question, sign, task.result()))
    return answers


def _signs(username: str) -> Iterator[Expectation]:
    for sign in EXPECTED[username].split():
        match sign:
            case "+" | "-" | "0":
                yield sign
            case _:
                raise ValueError(f"the tour's table has a {sign!r}")


async def _ask(http: aiohttp.ClientSession, question: Question, token: str | None) -> int | None:
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    if question.method == "PATCH":
        headers["Content-Type"] = _MERGE_PATCH
    try:
        async with http.request(
            question.method, question.path, json=question.body, headers=headers, allow_redirects=False
        ) as answer:
            return answer.status
    except (aiohttp.ClientError, TimeoutError):
        return None


def surprises(answers: Sequence[Answer]) -> list[str]:
    """A line for each answer that the policy does not give."""
    wanted: Mapping[Expectation, str] = {"+": "2xx", "-": "403", "0": "401"}
    return [
        f"{answer.username}: {answer.question.method} {answer.question.path}: expected {wanted[answer.expected]}, got {answer.status or 'no answer'}"
        for answer in answers
        if not answer.is_expected
    ]


def questions_table(*, is_wide: bool) -> Table:
    """What the numbers at the head of the tour's table mean; the requests stand below when the window is not wide."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right", style="bold")
    table.add_column()
    table.add_column(overflow="fold")
    for number, question in enumerate(QUESTIONS, start=1):
        request = Text(f"{question.method} {question.path.removesuffix(_DRY_RUN)}", style="dim")
        cells = (question.says, request) if is_wide else (Text(f"{question.says}\n").append_text(request),)
        table.add_row(str(number), *cells)
    return table


def answers_table(answers: Sequence[Answer]) -> Table:
    """Users down, questions across, statuses between: green what was allowed, red what was refused, `!` what surprises."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("user", no_wrap=True)
    for number in range(1, len(QUESTIONS) + 1):
        table.add_column(str(number), justify="right", no_wrap=True)
    for start in range(0, len(answers), len(QUESTIONS)):
        row = answers[start : start + len(QUESTIONS)]
        table.add_row(row[0].username, *map(_cell, row))
    return table


def _cell(answer: Answer) -> Text:
    text = str(answer.status) if answer.status is not None else "-"
    if not answer.is_expected:
        return Text(f"{text}!", style="bold black on yellow")
    return Text(text, style="green" if answer.is_allowed else "red")
