"""What `token` does. kubectl runs it at each call: only what is needed for a token that is still good is imported at once."""

import sys

from proxy.client.credential import current_login, exec_credential
from proxy.client.errors import ClientError
from proxy.client.logins import Login, Tokens
from proxy.client.user import User


def print_token(url: str | None) -> int:
    """Print the ExecCredential of an entry, without a URL that of the only one, and return the exit status."""
    try:
        logins = User.of_this_process().logins
        _, tokens = current_login(logins, logins.entry(url), _refreshed)
    except ClientError as error:
        return _complain(str(error))
    except OSError as error:
        return _complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    sys.stdout.write(f"{exec_credential(tokens)}\n")
    return 0


def _refreshed(login: Login) -> Tokens:
    from proxy.client.refreshing import refreshed  # noqa: PLC0415 - a third of a second, for those who must ask the issuer

    return refreshed(login)


def _complain(reason: str) -> int:
    sys.stderr.write(f"mosk-proxy: {reason}\n")
    return 1
