"""What the provider remembers: sign-ins, codes, refresh tokens and device codes, each for a limited time and in limited number."""

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from authlib.oauth2.rfc8628 import DeviceCredentialMixin
from authlib.oidc.core import AuthorizationCodeMixin
from cachetools import LRUCache, TTLCache

from proxy.demo.people import Person
from proxy.demo.provider.clients import Client

SESSION_SECONDS = 24 * 3600
CODE_SECONDS = 60
REFRESH_SECONDS = 1800
DEVICE_SECONDS = 600
POLL_SECONDS = 5
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in of one person; `sid` stands in every token that came of it, `cookie` in one browser and nowhere else."""

    person: Person
    auth_time: int
    sid: str = field(default_factory=lambda: str(uuid.uuid4()))
    cookie: str = field(default_factory=secrets.token_urlsafe, repr=False)


@dataclass(frozen=True)
class AuthorizationCode(AuthorizationCodeMixin):  # type: ignore[misc]  # Authlib has no types
    """What a code stands for; `code_challenge` and its method are read by Authlib's PKCE extension under these names."""

    client_id: str
    session: Session
    redirect_uri: str
    scope: str
    nonce: str | None
    code_challenge: str
    code_challenge_method: str = "S256"

    def get_redirect_uri(self) -> str:
        """The URI that the code was sent to."""
        return self.redirect_uri

    def get_scope(self) -> str:
        """The scope that was granted."""
        return self.scope

    def get_nonce(self) -> str | None:
        """The client's `nonce`, for the ID token."""
        return self.nonce

    def get_auth_time(self) -> int:
        """When the person signed in, in seconds since the epoch."""
        return self.session.auth_time


@dataclass(frozen=True)
class RefreshToken:
    """What a refresh token stands for."""

    value: str = field(repr=False)
    client_id: str
    session: Session
    scope: str

    def check_client(self, client: Client) -> bool:
        """Whether it was issued to this client."""
        return self.client_id == client.client_id

    def get_scope(self) -> str:
        """The scope that was granted."""
        return self.scope


@dataclass(frozen=True)
class DeviceCredential(DeviceCredentialMixin):  # type: ignore[misc]  # Authlib has no types
    """A device waiting for a person's word; `decision` is None until it is given, a session when it is yes."""

    client_id: str
    scope: str
    device_code: str = field(repr=False)
    user_code: str
    code_challenge: str
    expires_at: float
    clock: Callable[[], float] = field(repr=False)
    decision: Session | Literal["denied"] | None = None

    def get_client_id(self) -> str:
        """The client that asked."""
        return self.client_id

    def get_scope(self) -> str:
        """The scope that it asked for."""
        return self.scope

    def get_user_code(self) -> str:
        """What the person types."""
        return self.user_code

    def is_expired(self) -> bool:
        """Whether it is too late for an answer."""
        return self.clock() >= self.expires_at


class Credentials:
    """The provider's memory. `clock` counts seconds from anywhere; `wall` counts them from the epoch."""

    def __init__(self, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self._clock, self._wall = clock, wall
        self._sessions: TTLCache[str, Session] = TTLCache(_MOST, SESSION_SECONDS, clock)
        self._browsers: TTLCache[str, str] = TTLCache(_MOST, SESSION_SECONDS, clock)
        self._codes: TTLCache[str, AuthorizationCode] = TTLCache(_MOST, CODE_SECONDS, clock)
        self._refresh_tokens: TTLCache[str, RefreshToken] = TTLCache(_MOST, REFRESH_SECONDS, clock)
        # Expired device codes are kept a little longer: RFC 8628 section 3.5 wants `expired_token`, not "never heard of it".
        self._devices: TTLCache[str, DeviceCredential] = TTLCache(_MOST, 2 * DEVICE_SECONDS, clock)
        self._polled: LRUCache[str, float] = LRUCache(_MOST)
        self._spent: LRUCache[str, str] = LRUCache(_MOST)

    def __repr__(self) -> str:
        return f"Credentials({len(self._sessions)} sessions, {len(self._devices)} devices)"

    def sign_in(self, person: Person) -> Session:
        """Begin a session."""
        session = Session(person, int(self._wall()))
        self._sessions[session.sid] = session
        self._browsers[session.cookie] = session.sid
        return session

    def session(self, sid: str) -> Session | None:
        """The session of this `sid`, unless it has ended."""
        return self._sessions.get(sid)

    def session_of_cookie(self, cookie: str) -> Session | None:
        """The session that belongs to a browser's cookie."""
        sid = self._browsers.get(cookie)
        return None if sid is None else self.session(sid)

    def sign_out(self, sid: str) -> None:
        """End a session: its codes and refresh tokens are worth nothing from now on."""
        self._sessions.pop(sid, None)

    def keep_code(self, code: str, meaning: AuthorizationCode) -> None:
        """Remember a code that is about to be sent to a client."""
        self._codes[code] = meaning

    def redeem_code(self, code: str, client_id: str) -> AuthorizationCode | None:
        """What a code stands for, once; a second attempt ends the session it came from (RFC 6749 section 4.1.2)."""
        meaning = self._codes.pop(code, None)
        if meaning is None:
            self._punish_replay(code)
            return None
        self._spent[code] = meaning.session.sid
        known = meaning.client_id == client_id and self.session(meaning.session.sid) is not None
        return meaning if known else None

    def issue_refresh_token(self, session: Session, client_id: str, scope: str) -> str:
        """A new refresh token's value."""
        token = RefreshToken(secrets.token_urlsafe(32), client_id, session, scope)
        self._refresh_tokens[token.value] = token
        return token.value

    def refresh_token(self, value: str) -> RefreshToken | None:
        """What a refresh token stands for; one that was used up ends its session (RFC 9700 section 4.14.2)."""
        token = self._refresh_tokens.get(value)
        if token is None:
            self._punish_replay(value)
            return None
        return token if self.session(token.session.sid) is not None else None

    def use_up(self, token: RefreshToken) -> None:
        """Take a refresh token out of use: it has been exchanged for the next one."""
        self._refresh_tokens.pop(token.value, None)
        self._spent[token.value] = token.session.sid

    def keep_device(self, answer: dict[str, Any], client_id: str, scope: str, code_challenge: str) -> None:
        """Remember a device by the answer of the device endpoint."""
        device_code, user_code = answer["device_code"], answer["user_code"]
        expires_at = self._clock() + DEVICE_SECONDS
        self._devices[device_code] = DeviceCredential(
            client_id, scope, device_code, user_code, code_challenge, expires_at, self._clock
        )

    def device(self, device_code: str) -> DeviceCredential | None:
        """The device that polls with this code."""
        return self._devices.get(device_code)

    def device_of_user_code(self, user_code: str) -> DeviceCredential | None:
        """The device that shows this code and waits for a word."""
        wanted = user_code.strip().upper()
        waiting = (device for device in self._devices.values() if device.decision is None and not device.is_expired())
        return next((device for device in waiting if device.user_code == wanted), None)

    def decide(self, device: DeviceCredential, decision: Session | Literal["denied"]) -> None:
        """Record a person's word."""
        self._devices[device.device_code] = replace(device, decision=decision)

    def polls_too_fast(self, device: DeviceCredential) -> bool:
        """Whether the last poll is less than POLL_SECONDS ago; counts this one."""
        now = self._clock()
        last = self._polled.get(device.device_code)
        self._polled[device.device_code] = now
        return last is not None and now - last < POLL_SECONDS

    def forget_device(self, device: DeviceCredential) -> None:
        """A device code is good for one answer."""
        self._devices.pop(device.device_code, None)

    def _punish_replay(self, value: str) -> None:
        if (sid := self._spent.get(value)) is not None:
            self.sign_out(sid)
