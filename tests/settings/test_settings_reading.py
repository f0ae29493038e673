import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.settings import SettingsError, load
from proxy.settings.reading import expand, read_yaml


def yaml_problem(folder: Path, text: str | bytes) -> str:
    file = folder / "c.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(SettingsError) as caught:
        load(file, {})
    (problem,) = caught.value.problems
    return problem.shown("c.yaml")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "public_url: a\nhosts: []\npublic_url: b\n",
            'c.yaml:3: found duplicate key "public_url"',
        ),
        ("listen:\n  port: 1\n  port: 2\n", 'c.yaml:3: found duplicate key "port"'),
        ("public_url: [\n", "c.yaml:2: expected the node content, but found '<stream end>'"),
        ("a: b\n c: d\n", "c.yaml:2: mapping values are not allowed here"),
        (
            "a: !!python/object:os.system x\n",
            "c.yaml:1: could not determine a constructor for the tag 'tag:yaml.org,2002:python/object:os.system'",
        ),
        ("a: 1\n---\nb: 1\n", "c.yaml:2: but found another document"),
        ("", "c.yaml: must be a mapping of keys such as public_url"),
        ("- a\n", "c.yaml: must be a mapping of keys such as public_url"),
        ("a: 2001-99-99\n", "c.yaml: is no readable YAML: month must be in 1..12"),
        ("a: \x00\n", "c.yaml: is no readable YAML: unacceptable character #x0000: special characters are not allowed"),
        (b"a: \xff\n", "c.yaml: is not UTF-8: byte 3"),
        ("[" * 1000, "c.yaml: is nested too deep"),
        ("a: &a [*a]\n", None),
        ("a: &x 1\nb: &x 2\nc: *x\n", "c.yaml: an anchor is given twice: give each a name of its own"),
        (
            "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
            + "".join(f"{c}: &{c} [{','.join(['*' + p] * 10)}]\n" for p, c in zip("abcdefg", "bcdefgh", strict=True)),
            None,
        ),
        ("a: " + "x" * (8 << 20), "c.yaml: is larger than 8 MiB"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_configuration_is_one_problem_with_the_line_where_yaml_broke(tmp_path, text, shown):
    problem = yaml_problem(tmp_path, text)
    if shown is None:
        assert problem.endswith("is nested too deep or holds too many values")
    else:
        assert problem == shown


def test_a_missing_file_and_a_folder_are_named_in_one_line(tmp_path):
    for path, message in ((tmp_path / "absent.yaml", "not found"), (tmp_path, "cannot be read: is a directory")):
        with pytest.raises(SettingsError) as caught:
            load(path)
        assert [problem.shown(path) for problem in caught.value.problems] == [f"{path}: {message}"]


def test_yaml_is_of_version_1_2_where_no_and_on_are_texts(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("a: no\nb: on\nc: 12:30:00\nd: 0o17\n")
    assert read_yaml(file) == {"a": "no", "b": "on", "c": "12:30:00", "d": 15}


ENVIRONMENT = {"HOST": "entry.example", "PORT": "8443", "EMPTY": "", "NESTED": "${HOST}"}


@pytest.mark.parametrize(
    ("given_text", "expanded"),
    [
        ("https://${HOST}:${PORT}", "https://entry.example:8443"),
        ("${EMPTY}", ""),
        ("$HOST $$ {HOST} }", "$HOST $$ {HOST} }"),
        ("${NESTED}", "${HOST}"),
    ],
)
def test_environment_variables_are_expanded_once_inside_texts(given_text, expanded):
    document, problems = expand({"a": [{"b": given_text}], "${HOST}": 1, "n": None}, ENVIRONMENT)
    assert problems == []
    assert document == {"a": [{"b": expanded}], "${HOST}": 1, "n": None}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${ABSENT}", "environment variable ABSENT is not set"),
        ("${}", "holds a ${…} that names no environment variable: write ${ENV_NAME}"),
        ("${a-b}", "holds a ${…} that names no environment variable: write ${ENV_NAME}"),
        ("x${HOST", "holds a ${…} that names no environment variable: write ${ENV_NAME}"),
    ],
)
def test_a_variable_that_cannot_be_expanded_is_a_problem_at_its_path(text, message):
    document, problems = expand({"clusters": [{}, {"api": {"url": text}}]}, ENVIRONMENT)
    assert problems == [("clusters[1].api.url", message)]
    assert document["clusters"] == [{}, {"api": {"url": text}}]


def test_an_environment_variable_may_hold_a_number(read):
    file_text = "public_url: https://e.example\nissuers: [{issuer: 'https://k.example/realms/${REALM}'}]\n"
    assert read(file_text).issuers[0].issuer == "https://k.example/realms/iam"


def test_the_process_environment_is_the_default(tmp_path):
    (tmp_path / "c.yaml").write_text(
        "public_url: https://e.example\nissuers: [{issuer: https://k.example, required_claims: {path: '${PATH}'}}]\n"
    )
    assert load(tmp_path / "c.yaml").issuers[0].required_claims == {"path": os.environ["PATH"]}


PIECES = st.sampled_from(
    ["public_url: ", "issuers:", "clusters:", "- ", "  ", "\n", "[", "]", "{", "}", "issuer: ", "https://a", "credential: ", "kind: ", "token",
     "impersonate", "null", "1", "-1", "1e999", ".nan", "!!", "&a ", "*a", "<<: ", "${", "}", "\x00", "\ud800", "é", "?", "|", ">", "'", '"', "# ",
     "listen: ", "tls: ", "api: ", "url: ", "stacklight: ", "grafana: ", "2001-01-01", "0x", "true", ": ", ", ", "namespace: ", "name: "]
)  # fmt: skip


def problems_of(file: Path) -> list[tuple[str, str]]:
    try:
        load(file, {})
    except SettingsError as error:
        return list(error.problems)
    return []


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(pieces=st.lists(PIECES, max_size=30))
def test_no_file_whatever_it_holds_ends_in_anything_but_settings_or_problems(tmp_path, pieces):
    file = tmp_path / "c.yaml"
    file.write_bytes("".join(pieces).encode("utf-8", "surrogatepass"))
    for path, message in problems_of(file):
        assert "\n" not in path + message
