"""One object's bytes."""

import json

import msgspec
import pytest
from management_api import PEM, base64_of, cluster, status

from proxy.directory.cluster_objects import ClusterRecord, Skipped
from proxy.discovery.objects import read_item
from proxy.routing.target import ClusterRef

REF = ClusterRef("team-a", "found")
BROKEN = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
REASON = "its API: apiServerCertificate holds a broken certificate"


def read(document: object, most: int = 1 << 20) -> ClusterRecord | Skipped:
    return read_item(msgspec.Raw(json.dumps(document).encode()), most)


def test_an_object_with_certificates_is_a_record():
    assert read(cluster(provider_status=status(ca=base64_of(PEM + PEM)))).api.ca_pem == PEM + PEM


def test_certificates_that_are_none_leave_out_the_api():
    assert read(cluster(provider_status=status(ca=base64_of(PEM + BROKEN)))) == Skipped(REF, REASON)
    found = read(cluster(provider_status=status(ca=base64_of(BROKEN), grafana="https://10.0.1.3", alerta=5)))
    assert (found.api, list(found.applications)) == (None, ["grafana"])
    assert found.left_out == (REASON, "alerta: its url is not a text")


def test_an_object_beyond_the_bound_is_not_read():
    document = cluster(padding="x" * 5000)
    assert read(document, 5000) == Skipped(None, "is larger than 5000 bytes")
    assert isinstance(read(document), ClusterRecord)


@pytest.mark.parametrize("raw", [b"null", b'"x"', b"[[[]]]", b"1e999", b"[" * 3000 + b"]" * 3000])
def test_what_is_no_object_is_passed_over(raw):
    assert isinstance(read_item(msgspec.Raw(raw), 1 << 20), Skipped)
