"""Pages, events and lines, as an API server and as nobody should send them."""

import json

import pytest

from proxy.discovery.messages import Expired, Lines, Unreadable, pruned, read_event, read_object, read_page, version_of

DEEP = b"[" * 5000 + b"]" * 5000


def test_a_page_keeps_its_objects_as_bytes():
    page = read_page(b'{"kind":"ClusterList","metadata":{"resourceVersion":"7","continue":"x"},"items":[{"a":1}, null]}')
    assert (page.metadata.resource_version, page.metadata.continuation) == ("7", "x")
    assert [bytes(item) for item in page.items] == [b'{"a":1}', b"null"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the list is no list of objects: "),
        (b"<html>", "the list is no list of objects: "),
        (b"[]", "the list is no list of objects: "),
        (b'{"metadata":{"resourceVersion":"7"}}', "the list is no list of objects: "),
        (b'{"metadata":{"resourceVersion":"7"},"items":null}', "the list is no list of objects: "),
        (b'{"metadata":{"resourceVersion":7},"items":[]}', "the list is no list of objects: "),
        (b'{"metadata":{},"items":[]}', "the list has no resourceVersion"),
        (b'{"items":[{"a":1}', "the list is no list of objects: "),
    ],
)
def test_what_is_no_page(body, reason):
    with pytest.raises(Unreadable) as caught:
        read_page(body)
    assert str(caught.value).startswith(reason)


def test_an_event_has_a_type_and_an_object():
    event = read_event(b'{"type":"ADDED","object":{"metadata":{"resourceVersion":"9"}}}')
    assert (event.type, version_of(read_object(event.object))) == ("ADDED", "9")


@pytest.mark.parametrize(
    ("line", "error", "reason"),
    [
        (b"half a li", Unreadable, "a line of the watch is no event"),
        (b'{"type":"ADDED"}', Unreadable, "a line of the watch is no event"),
        (b'{"type":1,"object":{}}', Unreadable, "a line of the watch is no event"),
        (b'{"type":"ERROR","object":{"code":410}}', Expired, ""),
        (
            b'{"type":"ERROR","object":{"code":500,"message":"etc\\nd"}}',
            Unreadable,
            "the watch ended with an error: 500 'etc\\nd'",
        ),
        (b'{"type":"ERROR","object":null}', Unreadable, "the watch ended with an error: ? None"),
    ],
)
def test_what_is_no_event(line, error, reason):
    with pytest.raises(error) as caught:
        read_event(line)
    assert str(caught.value).startswith(reason)


@pytest.mark.parametrize(
    "document", [None, [], {}, {"metadata": 1}, {"metadata": {"resourceVersion": 7}}, {"metadata": {"resourceVersion": ""}}]
)
def test_an_object_may_have_no_version(document):
    assert version_of(document) is None


def test_an_object_that_is_no_json_is_nothing():
    assert read_object(b'{"a":') is None
    assert read_object(DEEP) is None


def test_what_is_nested_too_deep_is_cut_off_alone():
    body = b'{"metadata":{"resourceVersion":"7"},"items":[{"name":"a [ \\" {"},{"deep":' + DEEP + b',"name":"b"},{"name":"c"}]}'
    with pytest.raises(RecursionError):
        read_page(body)
    names = [read_object(item)["name"] for item in read_page(pruned(body)).items]
    assert names == ['a [ " {', "b", "c"]


@pytest.mark.parametrize("text", ['{"a": [1, {"b": "]}"}], "c": "\\\\"}', "[]", '"["', "[]]", "[[", '{"a": "unended'])
def test_what_is_not_deep_stays_as_it_is(text):
    assert pruned(text.encode()) == text.encode()


def test_depth_is_cut_where_it_is_too_much():
    given = json.loads("[" * 98 + "[1, 2]" + "]" * 98)
    assert json.loads(pruned(json.dumps(given).encode())) == given
    deeper = json.dumps([given]).encode()
    assert json.loads(pruned(deeper)) == json.loads("[" * 99 + "null" + "]" * 99)


def test_lines_are_cut_wherever_reads_end():
    text = b'{"a":1}\n\n  \r\n{"b":2}\r\n{"c"'
    whole = list(Lines(100).feed(text))
    lines = Lines(100)
    by_bytes = [line for at in range(len(text)) for line in lines.feed(text[at : at + 1])]
    assert whole == by_bytes == [b'{"a":1}', b'{"b":2}\r']
    assert lines.is_within
    assert list(lines.feed(b":3}\n")) == [b'{"c":3}']
    assert not lines.is_within


@pytest.mark.parametrize("pieces", [[b"x" * 11], [b"x" * 6, b"x" * 5], [b"fine\n" + b"x" * 11 + b"\n"]])
def test_lines_are_bounded(pieces):
    lines = Lines(10)
    with pytest.raises(Unreadable, match="longer than 10 bytes"):
        [list(lines.feed(piece)) for piece in pieces]
