"""Keys and addresses as people configure them: checked before use, never shown."""

from urllib.parse import urlsplit

from mosaic.core.errors import InvalidInput

__all__ = ["check_secret", "checked_address"]


def check_secret(secret: str, *, name: str) -> str:
    """Return `secret` without the white space that copying adds.

    Raises:
        InvalidInput: if it could not stand in a header; the message never holds it.
    """
    clean = secret.strip()
    if not clean or not clean.isascii() or not clean.isprintable() or " " in clean:
        raise InvalidInput(
            f"{name} holds something that cannot be a key (it is empty, or has spaces or unprintable characters).",
            hint="Copy the key again, on one line.",
        )
    return clean


def checked_address(provider: str, base_url: str) -> str:
    """Return scheme, host and port of `base_url`.

    Raises:
        InvalidInput: if it is not an http or https address, or holds a password; the message never holds it.
    """
    parts = urlsplit(base_url)
    try:
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        right = False
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InvalidInput(
            f"The address of {provider} holds a user, a password or a query.",
            hint="Give the address alone; keys have their own setting.",
        )
    if not right:
        raise InvalidInput(
            f"The address of {provider} is not one.", hint="Write it as https://host or http://host:port."
        )
    return f"{parts.scheme}://{parts.netloc}"
