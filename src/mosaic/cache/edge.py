"""What caches in front of us (a CDN, a browser) may keep: public static content, and never an answer.

An answer belongs to a tenant, so it leaves with `PRIVATE`. Pages, pictures and scripts that are the same for everyone
may be kept at the edge and purged there by tag.
"""

from dataclasses import dataclass

__all__ = ["PRIVATE", "EdgePolicy", "edge_headers"]

PRIVATE: tuple[tuple[bytes, bytes], ...] = ((b"cache-control", b"private, no-store"),)


@dataclass(frozen=True, slots=True)
class EdgePolicy:
    """How long the edge may keep public content.

    Attributes:
        edge_s: in shared caches; a purge by tag ends it earlier.
        browser_s: in browsers, which nobody can purge.
        stale_s: how much longer the edge may serve it while it asks for a new one, or cannot reach us.
        immutable: the address changes with the content, so nobody ever needs to ask again.
        tags: names to purge by.
    """

    edge_s: int = 3600
    browser_s: int = 60
    stale_s: int = 86_400
    immutable: bool = False
    tags: tuple[str, ...] = ()


def edge_headers(policy: EdgePolicy) -> tuple[tuple[bytes, bytes], ...]:
    """Return the response headers of public content (RFC 9111, RFC 5861, and the tag headers CDNs read)."""
    parts = ["public", f"max-age={policy.browser_s}", f"s-maxage={policy.edge_s}"]
    if policy.stale_s:
        parts += [f"stale-while-revalidate={policy.stale_s}", f"stale-if-error={policy.stale_s}"]
    if policy.immutable:
        parts.append("immutable")
    headers = [(b"cache-control", ", ".join(parts).encode())]
    if policy.tags:
        headers.append((b"cache-tag", ",".join(policy.tags).encode()))
        headers.append((b"surrogate-key", " ".join(policy.tags).encode()))
    return tuple(headers)
