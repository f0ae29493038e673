"""What can go wrong on the user's side: each text is one line that says what to do about it, and holds no secret."""

from typing import Final

_SHOWN_CHARACTERS: Final = 200


class ClientError(Exception):
    """Something that the user has to know, in one line."""


class NotSignedIn(ClientError):
    """There are no usable tokens, and only a person can get new ones."""


class SessionEnded(ClientError):
    """The issuer no longer takes the refresh token."""


def printable(text: object, most: int = _SHOWN_CHARACTERS) -> str:
    """Return what somebody else's server said, fit for a terminal: one line, no control characters, not long."""
    line = " ".join("".join(character if character.isprintable() else " " for character in str(text)).split())
    return line if len(line) <= most else line[:most] + "…"
