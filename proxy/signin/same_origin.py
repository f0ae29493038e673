"""Whether a request that changes something was made by a page of the origin it is sent to."""


def is_same_origin(origin: str | None, sec_fetch_site: str | None, own_origin: str) -> bool:
    """Tell whether `Origin` is the addressed host's own and `Sec-Fetch-Site`, where sent, does not say otherwise.

    Browsers send `Origin` with each unsafe method and each opening of a WebSocket; without one, or with `null`, nobody vouches for the
    request. `own_origin` is scheme and authority, without a default port.
    """
    return origin is not None and origin.lower() == own_origin.lower() and sec_fetch_site in {None, "same-origin"}
