"""The certificate authorities in a file that the user names."""

import re
import ssl
from pathlib import Path
from typing import Final

from proxy.client.errors import ClientError

# A key that lies in the same file must not travel into kubeconfigs.
_CERTIFICATE: Final = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")


def read_authority(file: Path) -> str:
    """Return the certificates of a file as PEM, and nothing else of it; raises ClientError and OSError."""
    certificates = "\n".join(_CERTIFICATE.findall(file.read_text(encoding="utf-8", errors="replace"))) + "\n"
    try:
        ssl.create_default_context(cadata=certificates)
    except (ssl.SSLError, ValueError):
        raise ClientError(f"{file}: holds no certificate in PEM that can be read") from None
    return certificates
