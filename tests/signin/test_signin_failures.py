import pytest

from proxy.errors import Unauthenticated, Unavailable
from proxy.sessions.store import StoreUnavailable
from proxy.signin.failures import IssuerRefused, IssuerUnavailable, NotBelieved, refused, unknown_sign_in, used_sign_in

GONE = ("__Host-mosk-signin-x=; Max-Age=0",)


@pytest.mark.parametrize(
    ("failure", "status", "cause", "cookies", "retry_after"),
    [
        (StoreUnavailable("file locked"), 503, "store_unavailable", (), 2),
        (IssuerUnavailable("timeout"), 503, "issuer_unavailable", (), 5),
        (Unavailable("no keys", retry_after=7, detail="x"), 503, "issuer_unavailable", (), 7),
        (IssuerRefused("access_denied"), 403, "issuer_error", GONE, None),
        (IssuerRefused("invalid_grant", "Code not valid"), 400, "sign_in_used", GONE, None),
        (IssuerRefused("invalid_client"), 502, "issuer_error", GONE, None),
        (NotBelieved("nonce"), 502, "not_accepted", GONE, None),
        (Unauthenticated("token expired", detail="3 seconds ago"), 403, "not_accepted", GONE, None),
    ],
)
def test_each_failure_is_shown_in_its_way(failure, status, cause, cookies, retry_after):
    shown = refused(failure, "/oauth2/start?rd=%2Fx", GONE)
    assert (shown.status, shown.cause, shown.again) == (status, cause, "/oauth2/start?rd=%2Fx")
    assert (shown.cookies, shown.retry_after) == (cookies, retry_after)


@pytest.mark.parametrize("secret", ["file locked", "timeout", "nonce", "3 seconds ago", "Code not valid"])
def test_what_is_for_the_log_is_not_for_the_page(secret):
    failures = [
        StoreUnavailable("file locked"),
        IssuerUnavailable("timeout"),
        NotBelieved("nonce"),
        Unauthenticated("token expired", detail="3 seconds ago"),
        IssuerRefused("invalid_grant", "Code not valid"),
    ]
    assert all(secret not in refused(failure, "/").message for failure in failures)


def test_an_issuers_words_are_made_fit_for_a_page():
    shown = refused(IssuerRefused("x" * 500, "\x1b[31m\r\n" + "y" * 5000), "/")
    assert shown.message.isprintable()
    assert len(shown.message) < 400


def test_a_mistake_of_ours_is_not_hidden():
    with pytest.raises(KeyError):
        refused(KeyError("bug"), "/")


def test_a_callback_of_nobody_and_one_too_many():
    assert (unknown_sign_in("/a").status, unknown_sign_in("/a").again, unknown_sign_in("/a").cookies) == (400, "/a", ())
    assert (used_sign_in("/a", GONE).status, used_sign_in("/a", GONE).cookies) == (400, GONE)
