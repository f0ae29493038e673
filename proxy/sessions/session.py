"""A session as a worker holds it in memory."""

from dataclasses import dataclass, field

from proxy.identity.principal import Identity
from proxy.sessions.identifiers import session_label
from proxy.sessions.record import Contents, StoredSession


@dataclass(slots=True, eq=False)
class Session:
    """One session of one browser.

    Whoever remembers one asks `is_current` before each use: it becomes False when the session has ended, when its tokens were
    renewed (another object stands for it then), or when the worker has forgotten it. `identity` speaks for its ID token as long as
    `generation` is the authenticator's; both are set by who verifies it. `last_seen` is set at each use and written now and then.
    """

    key: bytes
    subject: bytes
    provider_session: bytes | None
    created_at: float
    ends_at: float
    revision: int
    contents: Contents = field(repr=False)
    last_seen: float
    written: float
    refresh_at: float
    is_current: bool = True
    identity: Identity | None = None
    generation: object = None

    @property
    def label(self) -> str:
        """A name to show; it opens nothing."""
        return session_label(self.key)


@dataclass(frozen=True, slots=True)
class Summary:
    """A session as its user is shown it; moments are seconds since the epoch."""

    label: str
    created_at: float
    last_seen: float
    ends_at: float
    device: str
    address: str
    is_this: bool


def held(stored: StoredSession, contents: Contents) -> Session:
    """Return a row of the store as a session in memory."""
    return Session(
        key=stored.key,
        subject=stored.subject,
        provider_session=stored.provider_session,
        created_at=stored.created_at,
        ends_at=stored.ends_at,
        revision=stored.revision,
        contents=contents,
        last_seen=stored.last_seen,
        written=stored.last_seen,
        refresh_at=refresh_moment(contents),
    )


def refresh_moment(contents: Contents) -> float:
    """Return when tokens are to be renewed: in the last fifth of their life, a minute before its end at most; never without a way to."""
    if contents.refresh_token is None:
        return float("inf")
    return contents.expires_at - min(60.0, (contents.expires_at - contents.issued_at) / 5)
