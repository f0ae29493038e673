"""What the configuration says of one issuer, and the rhythm in which its keys are read."""

from dataclasses import dataclass
from pathlib import Path

from proxy.identity.claims import IssuerRules


@dataclass(frozen=True, slots=True)
class IssuerSettings:
    """One OpenID issuer whose tokens are believed.

    `ca_file` replaces the system's authorities for its key set; with `jwks_file` the keys come from that file and the issuer is
    never asked.
    """

    rules: IssuerRules
    ca_file: Path | None = None
    jwks_file: Path | None = None

    @property
    def issuer(self) -> str:
        return self.rules.issuer


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Seconds between and within the attempts to read keys.

    A set is read again after `refresh` (a file after `file_refresh`); a removed key is refused from then on. An attempt ends after
    `attempt`; a request waits for one no longer than `patience`. After a fetch for an unknown key id that brought no new key there
    is no other such fetch for `cool_down`. Failed attempts follow each other from `first_retry` on, each wait twice the last, up to
    `last_retry` while there is no set at all (then ready within `attempt` + `last_retry` of the issuer's return) and up to
    `last_kept_retry` while an old one serves.
    """

    refresh: float = 600
    file_refresh: float = 5
    attempt: float = 5
    patience: float = 3
    cool_down: float = 10
    first_retry: float = 0.25
    last_retry: float = 4
    last_kept_retry: float = 60


DEFAULT_RHYTHM = Rhythm()
