"""The path rule: what is judged is what is sent."""

import pytest

from proxy.errors import Malformed
from proxy.routing.paths import has_dot_segment, is_dns_label, is_dns_subdomain, object_name, plain, split_target

REFUSED_RAW = ' "#%*/;<>?\\^{|}\x7f\x00\n'


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        (b"/", (None, "/", None)),
        (b"/a?b", (None, "/a", "b")),
        (b"/a?", (None, "/a", "")),
        (b"/a?b?c=%2e%2E&d=\\|\"<>^{}'", (None, "/a", "b?c=%2e%2E&d=\\|\"<>^{}'")),
        (b"//a//b", (None, "//a//b", None)),
        (b"http://entry.example/a?b", ("entry.example", "/a", "b")),
        (b"HTTPS://entry.example:8443/a", ("entry.example:8443", "/a", None)),
        (b"https://[::1]:1/a", ("[::1]:1", "/a", None)),
        (b"https://entry.example", ("entry.example", "/", None)),
        (b"https://entry.example?x", ("entry.example", "/", "x")),
    ],
)
def test_a_target_is_taken_apart(target, parts):
    assert split_target(target) == parts


@pytest.mark.parametrize(
    "target",
    [
        b"",
        b"a/b",
        b"*",
        b"entry.example:443",
        b"ftp://entry.example/",
        b"https:/entry.example/",
        b"https:///a",
        b"https://user@entry.example/",
        b"https://user:password@entry.example/",
        b"https://entry.example\\@other/",
        b"https://entry.example:port/",
        b"https://entry.example:123456/",
        b"/a b",
        b"/a\tb",
        b"/a\x00",
        b"/a\x7f",
        b"/a\r\n",
        b"/a#b",
        b"/a?b#c",
        b"/a?b c",
        b"/\xc3\xa9",
        b"/a?\xff",
        b"/%",
        b"/%4",
        b"/%4g",
        b"/a?%zz",
        b"/a?%",
        b"/a\\b",
        b"/..\\b",
        b"/a/../b",
        b"/a/%2E%2e/b",
    ],
)
def test_a_target_that_could_be_read_in_two_ways_is_refused(target):
    with pytest.raises(Malformed):
        split_target(target)


@pytest.mark.parametrize(
    "path",
    [
        "/.",
        "/..",
        "/a/./b",
        "/a/../b",
        "/a/..",
        "/%2e",
        "/a/%2e%2E/b",
        "/a/.%2e/b",
        "/a/..;x=y/b",
        "/a/.;/b",
        "/a/..%3bx/b",
        "/..%2f..",
        "/a%2f..%2Fb",
        "/a%5c..%5Cb",
        "/..%5cb",
        "/%252e%252e/b",
        "/a%252f..%25252fb",
        "/a/..%253bx",
    ],
)
def test_a_dot_segment_is_seen_in_every_spelling(path):
    assert has_dot_segment(path)


@pytest.mark.parametrize(
    "path", ["/", "/...", "/a..b", "/..a", "/a..", "/.a/b.", "/a;..", "/%2e%2e%2e", "/a%2fb", "/a%5cb", "/%25", "//"]
)
def test_dots_inside_a_segment_are_no_dot_segment(path):
    assert not has_dot_segment(path)


@pytest.mark.parametrize("character", [chr(code) for code in range(0x21, 0x7F)])
def test_each_printable_character_of_an_interpreted_segment_is_taken_or_refused(character):
    if character in REFUSED_RAW:
        with pytest.raises(Malformed):
            plain(f"a{character}b")
    else:
        assert plain(f"a{character}b") == f"a{character}b"


@pytest.mark.parametrize("segment", ["", " ", "a\x00", "a\n", "\u00e9", "%41", "*"])
def test_an_interpreted_segment_is_neither_empty_nor_escaped(segment):
    with pytest.raises(Malformed):
        plain(segment)


@pytest.mark.parametrize("code", range(256))
def test_an_escape_in_a_name_is_visible_and_no_separator(code):
    escape, character = f"a%{code:02x}b", chr(code)
    if 0x21 <= code <= 0x7E and character not in "/\\%.;":
        assert object_name(escape) == object_name(escape.upper().replace("A%", "a%").removesuffix("B") + "b") == f"a{character}b"
    else:
        with pytest.raises(Malformed):
            object_name(escape)


@pytest.mark.parametrize(
    ("segment", "name"),
    [
        ("system%3Anode", "system:node"),
        ("system:node", "system:node"),
        ("*", "*"),
        ("%2a", "*"),
        ("a.b-c_d", "a.b-c_d"),
        ("%41%42", "AB"),
    ],
)
def test_a_name_is_read_decoded(segment, name):
    assert object_name(segment) == name


@pytest.mark.parametrize("segment", ["", "**", "a*", "a;b", 'a"b', "a^b", "a%2fb", "%2e%2e", "a%252fb", "a%20b", "a%00"])
def test_a_name_that_could_be_read_in_two_ways_is_refused(segment):
    with pytest.raises(Malformed):
        object_name(segment)


@pytest.mark.parametrize("text", ["a", "a-b", "0", "a" * 63, "1-1"])
def test_a_namespace_is_a_dns_label(text):
    assert is_dns_label(text)
    assert is_dns_subdomain(text)


@pytest.mark.parametrize("text", ["", "-a", "a-", "A", "a_b", "a b", "a\n", "\u0430", "a:b", "a@b"])
def test_neither_a_namespace_nor_a_cluster(text):
    assert not is_dns_label(text)
    assert not is_dns_subdomain(text)


@pytest.mark.parametrize("text", ["a.b", "a" * 64, "a-1.b-2.c", "a" * 253, ".".join(["a" * 50] * 5)[:253]])
def test_a_cluster_may_have_dots_and_a_namespace_may_not(text):
    assert not is_dns_label(text)
    assert is_dns_subdomain(text)


@pytest.mark.parametrize("text", [".a", "a.", "a..b", "a.-b", "a-.b", "a" * 254, "a." * 126 + "aa"])
def test_a_cluster_is_a_dns_subdomain(text):
    assert not is_dns_subdomain(text)
