import pytest

from proxy.client.authority import read_authority
from proxy.client.errors import ClientError
from proxy.demo.certificates import CertificateAuthority


def test_certificates_are_taken_and_a_key_beside_them_is_not(tmp_path):
    authority = CertificateAuthority(tmp_path)
    server = authority.issue("server")
    both = tmp_path / "both.pem"
    both.write_text(f"# ours\n{authority.file.read_text()}{server.key_file.read_text()}{server.certificate_file.read_text()}")
    taken = read_authority(both)
    assert taken == authority.file.read_text() + server.certificate_file.read_text()
    assert "PRIVATE" not in taken


@pytest.mark.parametrize("content", ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "\x00\xff"])
def test_a_file_without_a_certificate_is_told(tmp_path, content):
    (tmp_path / "ca.crt").write_text(content, encoding="latin-1")
    with pytest.raises(ClientError, match=f"^{tmp_path}/ca.crt: holds no certificate in PEM that can be read$"):
        read_authority(tmp_path / "ca.crt")
