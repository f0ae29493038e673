"""The pages, visited with a real client."""

import logging

import pytest
from console_site import ENTRY, HOSTILE, NOW, Page, Row, Sessions, console, facts, page, visitor

from proxy.console.protection import CONTENT_SECURITY_POLICY
from proxy.errors import Unavailable

SAME = {"Origin": ENTRY, "X-Forwarded-Host": "entry.example", "Sec-Fetch-Site": "same-origin"}
PAGES = ["/", "/console/me", "/console/sessions", "/console/explain?method=GET&url=/kaas/api"]


def sessions(**changes):
    return Sessions({"ann": [Row("mine", True), Row("phone", False), Row("old", False)], "bob": [Row("theirs", True)]}, **changes)


@pytest.fixture
def visit(aiohttp_client):
    async def make(*args, **changes):
        return await aiohttp_client(console(*args, **changes))

    return make


@pytest.mark.parametrize("path", [*PAGES, "/console/nothing", "/console/kubeconfig", "/console/kubeconfig?cluster=b/prod"])
async def test_every_answer_is_guarded(visit, path):
    client = await visit(visitor("m:kaas:a@writer"))
    answer = await client.get(path)
    Page(await answer.text())
    assert answer.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Server"] == "mosk-proxy"
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("path", PAGES)
async def test_nothing_is_told_to_nobody(visit, path):
    client = await visit(None, sessions=sessions())
    found = await page(client, path, 401)
    assert "a/prod" not in found.text
    assert any(link.startswith("/oauth2/start?rd=%2F") for link in found.links)


async def test_the_way_back_after_sign_in_is_one_value(visit):
    client = await visit(None)
    found = await page(client, "/console/explain?method=GET&url=/kaas/api", 401)
    assert "/oauth2/start?rd=%2Fconsole%2Fexplain%3Fmethod%3DGET%26url%3D%2Fkaas%2Fapi" in found.links


@pytest.mark.parametrize("path", [*PAGES, "/?filter=prod", "/console/sessions?ended=one"])
async def test_hostile_names_stay_text(visit, path):
    own = [Row("mine", True, device=HOSTILE, address=HOSTILE), Row("other", False, device=HOSTILE)]
    who = visitor("m:kaas@writer", username=HOSTILE, issuer=HOSTILE, full_name=HOSTILE, unknown=(HOSTILE,))
    site = facts("a/prod", f"{HOSTILE.replace('/', '')}/{HOSTILE.replace('/', '')}")
    client = await visit(who, site, Sessions({HOSTILE: own}))
    text = await (await client.get(path)).text()
    found = Page(text)
    assert [values for tag, values in found.tags if tag == "script"] == [{"src": "/console/script.js", "defer": None}]
    assert HOSTILE.replace("\u202e", "\\u202e") in found.text
    assert "\u202e" not in text
    assert "49" not in found.text


@pytest.mark.parametrize("path", ["/?filter={}", "/console/explain?method={0}&url={0}", "/console/explain?method=GET&url=/x{}"])
async def test_hostile_questions_stay_text(visit, path):
    client = await visit(visitor("m:kaas@writer"))
    found = await page(client, path.format("%22%3E%3Cscript%3Ealert(1)%3C/script%3E%00%F0%9F%92%A9%FF"))
    assert len([tag for tag, _ in found.tags if tag == "script"]) == 1


async def test_who_am_i(visit):
    client = await visit(visitor("m:kaas:a@operator", unknown=("m:os@admin",)))
    found = await page(client, "/console/me")
    for text in ("ann", "m:kaas:a@operator", "m:k8s:a:<every cluster>@cluster-admin", "project a", "in 1 h 30 min", "m:os@admin"):
        assert text in found.text


async def test_who_has_no_role_is_told_so(visit):
    client = await visit(visitor())
    assert "None of your roles is known here" in (await page(client, "/console/me")).text
    assert "Your roles open nothing here" in (await page(client, "/")).text


async def test_a_question_is_answered_as_the_request_would_be(visit):
    client = await visit(visitor("m:kaas:a@reader"))
    found = await page(client, "/console/explain?method=GET&url=/k8s/b/prod/version")
    assert 'User "ann" cannot get path "/version" of cluster "b/prod"' in found.text
    refused = await page(client, "/console/kubeconfig?cluster=b/prod", 403)
    reason = 'User "ann" cannot get path "/version" of cluster "b/prod"; read on cluster_api in cluster b/prod is granted by'
    assert reason in found.text
    assert reason in refused.text
    assert "No (403)" in found.text
    assert "m:k8s:b:prod@cluster-admin" in refused.text


async def test_a_question_that_was_not_asked_has_no_answer(visit):
    client = await visit(visitor("m:kaas:a@reader"))
    assert ("section", {"class": "card", "aria-labelledby": "answer"}) not in (await page(client, "/console/explain")).tags


async def test_own_sessions_are_listed_and_no_others(visit):
    client = await visit(visitor(), sessions=sessions())
    found = await page(client, "/console/sessions")
    labels = [values["value"] for tag, values in found.tags if tag == "input"]
    assert labels == ["mine", "phone", "old"]
    assert found.text.count("this browser") == 1
    assert ("post", "/console/sessions/end-others") in found.forms


@pytest.mark.parametrize(
    ("label", "location", "left"),
    [
        ("phone", "/console/sessions?ended=one", ["mine", "old"]),
        ("mine", "/", ["phone", "old"]),
        ("theirs", "/console/sessions?ended=none", ["mine", "phone", "old"]),
    ],
)
async def test_one_session_is_ended(visit, label, location, left):
    store = sessions()
    client = await visit(visitor(), sessions=store)
    answer = await client.post("/console/sessions/end", data={"session": label}, headers=SAME, allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (303, location)
    assert [row.label for row in store.rows["ann"]] == left
    assert [row.label for row in store.rows["bob"]] == ["theirs"]


async def test_all_others_are_ended(visit):
    store = sessions()
    client = await visit(visitor(), sessions=store)
    answer = await client.post("/console/sessions/end-others", headers=SAME)
    assert "All other sessions have ended" in await answer.text()
    assert [row.label for row in store.rows["ann"]] == ["mine"]


@pytest.mark.parametrize("path", ["/console/sessions/end", "/console/sessions/end-others"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {**SAME, "Origin": "https://evil.example"},
        {**SAME, "Origin": "null"},
        {**SAME, "Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_no_other_site_ends_a_session(visit, path, headers):
    store = sessions()
    client = await visit(visitor(), sessions=store)
    answer = await client.post(path, data={"session": "phone"}, headers=headers)
    assert answer.status == 403
    Page(await answer.text())
    assert len(store.rows["ann"]) == 3


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "application/x-www-form-urlencoded"),
        (b"other=phone", "application/x-www-form-urlencoded"),
        (b"session=phone&session=old", "application/x-www-form-urlencoded"),
        (b"session=\xff", "application/x-www-form-urlencoded"),
        (b"session=phone" + b"&x=1" * 20, "application/x-www-form-urlencoded"),
        (b"session=phone", "text/plain"),
        (b"session=phone", "application/x-www-form-urlencoded-not"),
    ],
)
async def test_only_our_own_form_ends_a_session(visit, body, content_type):
    store = sessions()
    client = await visit(visitor(), sessions=store)
    answer = await client.post("/console/sessions/end", data=body, headers={**SAME, "Content-Type": content_type})
    assert answer.status == 400
    assert len(store.rows["ann"]) == 3


async def test_a_long_form_is_not_read(visit):
    client = await visit(visitor(), sessions=sessions())
    form = {**SAME, "Content-Type": "application/x-www-form-urlencoded"}
    answer = await client.post("/console/sessions/end", data=b"session=" + b"a" * 20_000, headers=form)
    assert answer.status == 413
    Page(await answer.text())


async def test_who_came_with_a_token_has_no_session(visit):
    store = sessions()
    client = await visit(visitor(session=None), sessions=store)
    found = await page(client, "/console/sessions")
    assert "You came with a token" in found.text
    assert ("post", "/oauth2/sign_out") not in found.forms
    assert (await client.post("/console/sessions/end-others", headers=SAME)).status == 400
    assert len(store.rows["ann"]) == 3


async def test_a_store_that_is_down_is_a_page_that_says_so(visit):
    client = await visit(visitor(), sessions=sessions(is_down=True))
    answer = await client.get("/console/sessions")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert "the session store is not available" in Page(await answer.text()).text


async def test_a_resolver_that_has_no_store_is_a_page_too(visit):
    def resolve(_request):
        raise Unavailable("the session store is not available")

    client = await visit(resolve=resolve)
    await page(client, "/", 503)


async def test_what_nobody_thought_of_is_logged_and_told_without_its_text(visit, caplog):
    def resolve(_request):
        raise ValueError("secret-inside")

    client = await visit(resolve=resolve)
    with caplog.at_level(logging.ERROR):
        found = await page(client, "/", 500, headers={"X-Request-Id": "4711"})
    assert "secret-inside" not in found.text
    assert "4711" in found.text
    assert "the console failed at GET '/'" in caplog.text


async def test_methods_that_a_page_does_not_take(visit):
    client = await visit(visitor(), sessions=sessions())
    answer = await client.get("/console/sessions/end")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    Page(await answer.text())
    assert (await client.post("/", headers=SAME)).status == 405
    assert (await client.head("/")).status == 200


async def test_the_page_one_is_on_is_marked(visit):
    client = await visit(visitor("m:kaas@writer"))
    for path in ("/", "/console/me", "/console/sessions", "/console/explain"):
        marked = [values["href"] for _, values in (await page(client, path)).tags if "aria-current" in values]
        assert marked == [path]


async def test_moments_are_told_to_people_and_machines(visit):
    client = await visit(visitor(ends_at=NOW + 60))
    found = await page(client, "/console/me")
    assert [values["datetime"] for tag, values in found.tags if tag == "time"] == ["2027-01-15T08:01:00Z"]
    assert "2027-01-15 08:01 UTC" in found.text


async def test_every_field_has_a_label(visit):
    client = await visit(visitor("m:kaas@writer"), sessions=sessions())
    for path in PAGES:
        found = await page(client, path)
        labelled = {values["for"] for tag, values in found.tags if tag == "label"}
        fields = {values["id"] for tag, values in found.tags if tag in {"input", "select"} and values.get("type") != "hidden"}
        assert fields <= labelled
