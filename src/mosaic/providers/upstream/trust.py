"""Which certificates are trusted: the same as for every other call of ours, read once for the whole process."""

import functools
import ssl

import httpx2

__all__ = ["system_trust"]


@functools.cache
def system_trust() -> ssl.SSLContext:
    """Return the context of every TLS connection; ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` name other certificates."""
    context = httpx2.create_ssl_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
