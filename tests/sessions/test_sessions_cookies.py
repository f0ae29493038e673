import pytest

from proxy.sessions.cookies import cookies, remove_cookie, session_cookie, set_cookie


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], None),
        ([b""], None),
        ([b"__Host-mosk=abc"], b"abc"),
        ([b"theme=dark; __Host-mosk=abc; other=1"], b"abc"),
        ([b"theme=dark", b"\t__Host-mosk=abc ;"], b"abc"),
        ([b"__Host-mosk=a=b"], b"a=b"),
        ([b"__Host-mosk="], b""),
        ([b"__Host-mosk"], None),
        ([b"__host-mosk=abc"], None),
        ([b"mosk=abc"], None),
        ([b"__Host-mosk-signin-x=abc"], None),
        ([b"x__Host-mosk=abc"], None),
        ([b"__Host-mosk=abc; __Host-mosk=abc"], None),
        ([b"__Host-mosk=abc", b"__Host-mosk=other"], None),
        ([b'__Host-mosk="abc"'], b'"abc"'),
        ([b"=__Host-mosk=abc"], None),
    ],
)
def test_the_session_cookie_is_there_once_or_not_at_all(lines, expected):
    assert session_cookie(lines) == expected


def test_cookies_of_a_family_are_found_by_their_prefix():
    line = b"__Host-mosk-signin-a=1; __Host-mosk=s; __Host-mosk-signin-b=2; \xff__Host-mosk-signin-c=3; __Host-mosk-signin-\xe9=4"
    assert cookies([line], "__Host-mosk-signin-") == {
        "__Host-mosk-signin-a": b"1",
        "__Host-mosk-signin-b": b"2",
        "__Host-mosk-signin-\xe9": b"4",
    }


def test_a_cookie_is_for_this_host_over_tls_and_not_for_scripts():
    assert set_cookie("__Host-mosk", b"abc") == "__Host-mosk=abc; Path=/; Secure; HttpOnly; SameSite=Lax"
    assert set_cookie("__Host-mosk", b"abc", 600) == "__Host-mosk=abc; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600"
    assert remove_cookie("__Host-mosk") == "__Host-mosk=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"
