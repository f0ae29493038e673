from pathlib import Path

import pytest

from proxy.sessions.redis_server import RedisServer
from proxy.settings.store_url import parse_store_url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sqlite:///var/lib/mosk-proxy/sessions.db", Path("/var/lib/mosk-proxy/sessions.db")),
        ("redis://cache", RedisServer("cache")),
        ("redis://cache/", RedisServer("cache")),
        ("redis://cache.example:6380/2", RedisServer("cache.example", 6380, 2)),
        ("rediss://mosk@10.0.0.1", RedisServer("10.0.0.1", is_tls=True, username="mosk")),
        ("rediss://[fd00::1]:6380", RedisServer("fd00::1", 6380, is_tls=True)),
    ],
)
def test_what_names_a_store(text, expected):
    assert parse_store_url(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "sqlite:", "sqlite://sessions.db", "sqlite:///", "sqlite:///folder/", "sqlite:///a\0b", "redis:", "redis://", "redis:///0", "redis://:6379",
        "redis://cache:0", "redis://cache:65536", "redis://cache:x", "redis://cache/x", "redis://cache/0/1", "redis://cache/0?db=1", "redis://cache#x",
        "redis://Cache", "redis://a b", "redis://fd00::1", "redis://[10.0.0.1]", "redis://[cache]", "REDIS://cache", "unix:///run/redis.sock",
        "memory://", "postgres://a", "redis://a@b@c", "redis://cache\n",
    ],
)  # fmt: skip
def test_what_names_none(text):
    with pytest.raises(ValueError, match="must have the form sqlite:///path/to/sessions"):
        parse_store_url(text)


@pytest.mark.parametrize("text", ["redis://:secret@cache", "redis://user:secret@cache", "rediss://user:@cache", "redis://@cache"])
def test_a_password_has_no_place_in_a_url(text):
    with pytest.raises(ValueError, match=r"give sessions\.password_file") as refused:
        parse_store_url(text)
    assert "secret" not in str(refused.value)
