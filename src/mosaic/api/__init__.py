"""The HTTP door: REST under /api/v1, live events over SSE, errors as RFC 9457 problem documents."""
