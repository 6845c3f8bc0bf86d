"""What OpenSSL says, in words that tell what to look at."""

from __future__ import annotations

import ssl
from typing import Any

_REASONS = {
    "NO_SHARED_CIPHER": "no cipher in common: see cipher_list",
    "UNSUPPORTED_PROTOCOL": "the peer offers only older versions of TLS: see method",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the peer refuses our version of TLS: see method",
    "TLSV1_ALERT_UNKNOWN_CA": "the peer does not know who issued our certificate",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the peer showed no certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the peer does not accept our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the peer does not accept our certificate",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the peer found nothing in common, or misses our certificate",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the peer wants a certificate from us",
    "WRONG_VERSION_NUMBER": "the peer does not speak TLS",
    "UNEXPECTED_EOF_WHILE_READING": "closed by the peer",
}


def explain(error: ssl.SSLError) -> str:
    """An error of OpenSSL in words that say what to look at."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the peer's certificate is not good: {error.verify_message}"
    reason: Any = error.reason or ""
    return _REASONS.get(reason) or str(reason).lower().replace("_", " ") or str(error)
