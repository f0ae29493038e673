from proxy.sessions.redis_server import RedisServer


def test_a_server_shows_where_it_is_and_not_its_password():
    server = RedisServer("cache.example", 6380, 2, is_tls=True, username="mosk", password="secret")
    assert str(server) == "rediss://cache.example:6380/2"
    assert "secret" not in f"{server!r} {server}"
    assert str(RedisServer("10.0.0.1")) == "redis://10.0.0.1:6379/0"
