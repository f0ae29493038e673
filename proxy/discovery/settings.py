"""How `Cluster` objects are read: plain values, made by the settings room."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Times in seconds.

    `watch` is how long one watch is asked to last: a connection that died without a word is noticed no later. `half_line` is how long
    the rest of an event may take once it has begun. Retries wait from `first_retry`, doubling, to `last_retry`. `batch` is how long
    changes are collected before they are handed on together.
    """

    connect: float = 5.0
    page: float = 30.0
    whole_list: float = 120.0
    watch: float = 120.0
    watch_grace: float = 15.0
    half_line: float = 15.0
    first_retry: float = 0.25
    last_retry: float = 10.0
    settled: float = 5.0
    batch: float = 0.15


@dataclass(frozen=True, slots=True)
class Bounds:
    """Sizes. etcd keeps no object above 1.5 MiB by default, so that a page of the largest ones still fits."""

    objects_of_page: int = 40
    page_bytes: int = 64 << 20
    object_bytes: int = 2 << 20
    clusters: int = 20_000


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """Where objects are read and as whom; `url` has no slash at its end. Files are read at each attempt, so that rotation counts."""

    url: str
    ca_file: Path | None = None
    ca_pem: str | None = None
    token_file: Path | None = None
    client_certificate_file: Path | None = None
    client_key_file: Path | None = None
    rhythm: Rhythm = Rhythm()
    bounds: Bounds = Bounds()
