"""Style sheet and script: how they are answered, and whether the colours can be told apart."""

import re
from importlib.resources import files
from itertools import product

import pytest
from console_site import console

from proxy.console.assets import load_assets

TYPES = {"style.css": "text/css; charset=utf-8", "script.js": "text/javascript; charset=utf-8"}
CSS = load_assets()["style.css"].body.decode()
_LIGHT, _DARK = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)


def colours(block):
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))


THEMES = {"light": colours(_LIGHT), "dark": colours(_DARK)}
# Foregrounds by the backgrounds they stand on; texts need 4.5, lines of fields and marks of focus 3 (WCAG 2.2, 1.4.3 and 1.4.11).
TEXTS = [
    *product(["text", "soft", "link"], ["page", "card"]),
    *product(["text", "link"], ["notice"]),
    *product(["yes", "no"], ["card"]),
    ("text", "field"),
    ("text", "code"),
    ("bar-text", "bar"),
    ("bar-soft", "bar"),
    ("accent-text", "accent"),
    ("danger-text", "danger"),
]
MARKS = [*product(["edge", "accent"], ["page", "card", "field"]), ("accent", "notice"), ("bar-soft", "bar")]


def luminance(colour):
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_computed_as_the_standard_says():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("front", "back", "least"), [(*pair, 4.5) for pair in TEXTS] + [(*pair, 3.0) for pair in MARKS])
def test_colours_can_be_told_apart(theme, front, back, least):
    shades = THEMES[theme]
    assert contrast(shades[front], shades[back]) >= least


def test_both_themes_have_all_colours_and_nothing_else_is_a_colour():
    assert THEMES["light"].keys() == THEMES["dark"].keys()
    rest = CSS.replace(_LIGHT, "").replace(_DARK, "")
    assert re.search(r"#[0-9a-fA-F]{3,8}\b(?=[;, ])|rgb|hsl", rest) is None
    assert "opacity" not in rest


def test_every_pair_that_a_rule_makes_is_measured():
    measured = {*TEXTS}
    for rule in re.findall(r"\{([^{}]*)\}", CSS):
        front = re.search(r"(?<![a-z-])color: var\(--([a-z-]+)\)", rule)
        back = re.search(r"background: var\(--([a-z-]+)\)", rule)
        if front and back:
            assert (front[1], back[1]) in measured
    used = set(re.findall(r"(?<![a-z-])color: var\(--([a-z-]+)\)", CSS))
    assert used <= {front for front, _ in measured}


def test_the_style_loads_nothing():
    assert "url(" not in CSS
    assert "@import" not in CSS


@pytest.mark.parametrize("name", TYPES)
async def test_a_file_is_answered_once_and_then_remembered(aiohttp_client, name):
    client = await aiohttp_client(console(None))
    first = await client.get(f"/console/{name}")
    assert (first.status, first.headers["Content-Type"]) == (200, TYPES[name])
    assert await first.read() == (files("proxy.console") / "static" / name).read_bytes()
    assert first.headers["Cache-Control"] == "no-cache"
    assert first.headers["X-Content-Type-Options"] == "nosniff"
    tag = first.headers["ETag"]
    for held in (tag, f'"other", W/{tag}', "*"):
        again = await client.get(f"/console/{name}", headers={"If-None-Match": held})
        assert (again.status, await again.read(), again.headers["ETag"]) == (304, b"", tag)
    assert (await client.get(f"/console/{name}", headers={"If-None-Match": '"other"'})).status == 200


async def test_the_two_have_tags_of_their_own(aiohttp_client):
    client = await aiohttp_client(console(None))
    assert len({(await client.get(f"/console/{name}")).headers["ETag"] for name in TYPES}) == 2


def test_the_script_writes_no_markup():
    script = load_assets()["script.js"].body.decode()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval|fetch|\.style\b", script)
