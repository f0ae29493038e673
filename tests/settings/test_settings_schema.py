from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.settings.cross_checks import cross_problems
from proxy.settings.keys import keys
from proxy.settings.model import Settings
from proxy.settings.schema import apply

GOOD = {"public_url": "https://e.example", "issuers": [{"issuer": "https://k.example"}]}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"publicurl": 1} | GOOD, [("publicurl", "unknown key: did you mean public_url?")]),
        ({"something": 1} | GOOD, [("something", "unknown key")]),
        ({1: 2} | GOOD, [("1", "unknown key")]),
        (GOOD | {"audit": {"path": 1}}, [("audit.path", "must be a text")]),
        (
            GOOD | {"issuers": [{"issuer": "https://k.example", "adience": []}]},
            [("issuers[0].adience", "unknown key: did you mean audiences?")],
        ),
        (
            GOOD
            | {"clusters": [{"namespace": "a", "name": "b", "stacklight": {"grafana": {"url": "http://a", "keepprefix": True}}}]},
            [("clusters[0].stacklight.grafana.keepprefix", "unknown key: did you mean keep_prefix?")],
        ),
        (
            GOOD | {"management": {"url": "https://a", "credential": {"kind": "token", "token": {"token_file": "x"}}}},
            [
                ("management.credential.token_file", "missing"),
                ("management.credential.token", "unknown key: did you mean token_file?"),
            ],
        ),
        ({}, [("public_url", "missing"), ("issuers", "missing")]),
    ],
)
def test_problems_have_paths_as_the_author_would_write_them(document, expected):
    assert apply(document, Path("/")) == expected


def test_what_is_good_becomes_settings():
    assert isinstance(apply(GOOD, Path("/")), Settings)


NAMES = st.sampled_from(sorted({key.name for key in keys()} | {"grafana", "default", "[key]", "none", ""})) | st.integers()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates()
    | st.sampled_from(["https://a", "https://k.example", "a", "10.0.0.0/8", "-", "token", "impersonate", "none", "default/a", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(document=st.dictionaries(NAMES, VALUES, max_size=8), is_based=st.booleans())
def test_plain_values_whatever_they_are_end_in_settings_or_problems(tmp_path_factory, document, is_based):
    document = document | GOOD if is_based else document
    outcome = apply(document, Path("/nowhere"))
    found = [*(outcome if isinstance(outcome, list) else ()), *cross_problems(document, Path("/nowhere"))]
    assert isinstance(outcome, Settings) or found
    assert all(isinstance(path, str) and message for path, message in found)
