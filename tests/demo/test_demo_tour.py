"""The tour against a stand-in for the proxy: it tells a proxy that keeps the policy from one that does not."""

import io
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from rich.console import Console

from proxy.demo.certificates import CertificateAuthority
from proxy.demo.loopback import listening_socket, serving
from proxy.demo.people import PEOPLE, Person
from proxy.demo.tour import EXPECTED, NOBODY, QUESTIONS, Answer, answers_table, questions_table, surprises, take

TOKENS: Mapping[Person, str] = {person: person.username for person in PEOPLE}
ALLOWED = {"GET": 200, "POST": 201, "PATCH": 200}
NUMBERS = {(question.method, question.path): number for number, question in enumerate(QUESTIONS)}


def keeps_the_policy(username: str, method: str, path: str) -> int:
    sign = EXPECTED[username].split()[NUMBERS[method, path]]
    return {"+": ALLOWED[method], "-": 403, "0": 401}[sign]


@asynccontextmanager
async def standing_in(folder: Path, rule: Callable[[str, str, str], int]) -> AsyncIterator[tuple[str, ssl.SSLContext]]:
    async def answer(request: web.Request) -> web.Response:
        username = request.headers.get("Authorization", f"Bearer {NOBODY}").removeprefix("Bearer ")
        if request.method != "GET":
            assert isinstance(await request.json(), dict)
            assert request.query["dryRun"] == "All"
        return web.Response(status=rule(username, request.method, request.path_qs))

    application = web.Application()
    application.router.add_route("*", "/{rest:.*}", answer)
    authority = CertificateAuthority(folder)
    async with serving(application, listening_socket(), authority.issue("proxy").ssl_context()) as origin:
        yield origin, ssl.create_default_context(cafile=authority.file)


async def test_tour_is_content_with_a_proxy_that_keeps_the_policy(tmp_path: Path) -> None:
    async with standing_in(tmp_path, keeps_the_policy) as (origin, trust):
        answers = await take(origin, trust, TOKENS)
    assert len(answers) == (len(PEOPLE) + 1) * len(QUESTIONS)
    assert surprises(answers) == []


@pytest.mark.parametrize(
    ("username", "question", "status"),
    [
        ("team-a-reader", "read the secrets of team-a", 200),
        ("team-a-writer", "read the secrets of team-a", 403),
        ("team-a-writer", "read the secrets of team-a", 401),
        ("team-a-writer", "read the secrets of team-a", 502),
        ("team-a-writer", "read the secrets of team-a", 302),
        ("no-roles", "list the projects", 404),
        (NOBODY, "list the projects", 403),
    ],
)
async def test_tour_names_each_answer_that_differs(tmp_path: Path, username: str, question: str, status: int) -> None:
    asked = next(item for item in QUESTIONS if item.says == question)

    def strays(who: str, method: str, path: str) -> int:
        return status if (who, path) == (username, asked.path) else keeps_the_policy(who, method, path)

    async with standing_in(tmp_path, strays) as (origin, trust):
        (line,) = surprises(await take(origin, trust, TOKENS))
    assert line.startswith(f"{username}: GET {asked.path}: expected ")
    assert line.endswith(f"got {status}")


async def test_no_answer_is_no_refusal(tmp_path: Path) -> None:
    async with standing_in(tmp_path, keeps_the_policy) as (origin, trust):
        pass
    lines = surprises(await take(origin, trust, TOKENS))
    assert len(lines) == (len(PEOPLE) + 1) * len(QUESTIONS)
    assert lines[0].endswith("expected 2xx, got no answer")


async def test_proxy_of_another_authority_is_not_believed(tmp_path: Path) -> None:
    async with standing_in(tmp_path, keeps_the_policy) as (origin, _):
        assert surprises(await take(origin, ssl.create_default_context(), TOKENS))


def test_table_has_a_sign_for_everybody_and_every_question() -> None:
    assert list(EXPECTED) == [*(person.username for person in PEOPLE), NOBODY]
    assert {len(signs.split()) for signs in EXPECTED.values()} == {len(QUESTIONS)}
    columns = list(zip(*(signs.split() for signs in EXPECTED.values()), strict=True))
    assert all({"+", "-"} <= set(column) for column in columns), "a question that all or none may ask shows nothing"


def shown(answers: list[Answer]) -> str:
    text = io.StringIO()
    Console(file=text, width=80, color_system="standard", force_terminal=True).print(answers_table(answers))
    return text.getvalue()


def test_colours_and_marks_tell_allowed_refused_and_surprising() -> None:
    answers = [
        Answer("kaas-writer", question, "+", status)
        for question, status in zip(QUESTIONS, [200, 403, None, 502, *[200] * (len(QUESTIONS) - 4)], strict=True)
    ]
    text = shown(answers)
    assert "\x1b[32m200\x1b[0m" in text
    assert text.count("!") == 3
    assert "\x1b[31m403\x1b[0m" in shown([Answer("no-roles", question, "-", 403) for question in QUESTIONS])


def test_tables_fit_a_usual_terminal_and_a_pipe_gets_no_colour() -> None:
    answers = [Answer(name, question, "+", 200) for name in EXPECTED for question in QUESTIONS]
    text = io.StringIO()
    console = Console(file=text, width=80)
    console.print(answers_table(answers))
    console.print(questions_table(is_wide=False))
    assert "…" not in text.getvalue()
    assert "\x1b" not in text.getvalue()
    assert all(name in text.getvalue() for name in EXPECTED)


def test_each_question_takes_one_line_where_there_is_room() -> None:
    text = io.StringIO()
    Console(file=text, width=120).print(questions_table(is_wide=True))
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    assert all(
        line.endswith(f"{question.method} {question.path.removesuffix('?dryRun=All')}")
        for line, question in zip(lines, QUESTIONS, strict=True)
    )
