"""One object's bytes, read: size and JSON first, then what it says, then whether its certificates are any."""

from dataclasses import replace

import msgspec
from cryptography import x509

from proxy.directory.cluster_objects import ClusterRecord, Skipped, read_cluster
from proxy.discovery.messages import Json, read_object


def read_item(raw: msgspec.Raw, most_bytes: int) -> ClusterRecord | Skipped:
    """Return what an object of a list says; total, whatever it holds."""
    if len(raw) > most_bytes:
        return Skipped(None, f"is larger than {most_bytes} bytes")
    return read_record(read_object(raw))


def read_record(document: Json) -> ClusterRecord | Skipped:
    """Return what an object of plain values says; total, whatever it holds."""
    found = read_cluster(document)
    if isinstance(found, Skipped) or found.api is None:
        return found
    try:
        x509.load_pem_x509_certificates(found.api.ca_pem.encode("ascii"))
    except ValueError:
        return _without_api(found, "its API: apiServerCertificate holds a broken certificate")
    return found


def _without_api(record: ClusterRecord, reason: str) -> ClusterRecord | Skipped:
    if not record.applications:
        return Skipped(record.ref, "; ".join((reason, *record.left_out)))
    return replace(record, api=None, left_out=(reason, *record.left_out))
