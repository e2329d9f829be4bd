"""Changes a client's body for a provider of the same protocol: the model, a limit, usage, thoughts of others."""

from mosaic.core.errors import MosaicError
from mosaic.gateway.wires import WireCodec, ensure_usage, own_thoughts, splice_model
from mosaic.providers import Wire, WireEndpoint

__all__ = ["adapted", "stream_error"]

# The vendor itself refuses the old name for its newer models; most compatible servers know only the old one.
_OFFICIAL = "https://api.openai.com"
_LIMITS: dict[Wire, bytes] = {"openai.chat": b"max_tokens", "openai.responses": b"max_output_tokens"}


def adapted(
    body: bytes,
    wire: Wire,
    endpoint: WireEndpoint,
    *,
    asked: str,
    model: str,
    max_tokens: int | None,
    stream: bool,
) -> tuple[bytes, bool]:
    """Return the body to send, and whether it asks for usage that the client did not ask for.

    Args:
        body: the client's; returned as it is where nothing has to change.
        wire: the protocol.
        endpoint: where it goes.
        asked: the model's name as the client wrote it.
        model: the provider's name of it.
        max_tokens: a limit to write into a request that has none; None leaves it alone.
        stream: whether the answer is streamed.
    """
    body = own_thoughts(body, wire)
    if model != asked:
        body = splice_model(body, model)
    if max_tokens is not None and wire in _LIMITS:
        name = _LIMITS[wire]
        if wire == "openai.chat" and endpoint.origin.startswith(_OFFICIAL):
            name = b"max_completion_tokens"
        start = body.index(b"{") + 1
        body = body[:start] + b'"%s":%d,' % (name, max_tokens) + body[start:]
    return ensure_usage(body) if stream and wire == "openai.chat" else (body, False)


def stream_error(wire: WireCodec, error: MosaicError) -> bytes:
    """Return `error` as the last event of a stream that passed through so far."""
    body = wire.error(error).body
    if wire.name == "openai.chat":
        return b"data: " + body + b"\n\n"
    return b"event: error\ndata: " + body + b"\n\n"
