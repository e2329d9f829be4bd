"""The wires by name."""

from mosaic.core.errors import Unsupported
from mosaic.gateway.wires.chat_request import read_chat_request
from mosaic.gateway.wires.chat_response import ChatWriter, write_chat_response
from mosaic.gateway.wires.embeddings import read_embeddings_request, write_embeddings_response
from mosaic.gateway.wires.faults import anthropic_error, openai_error
from mosaic.gateway.wires.interfaces import StreamWriter, WireCodec
from mosaic.gateway.wires.messages_request import read_count_request, read_messages_request
from mosaic.gateway.wires.messages_response import MessagesWriter, write_count, write_messages_response
from mosaic.gateway.wires.peeking import peek_chat, peek_count, peek_embeddings, peek_messages, peek_responses
from mosaic.gateway.wires.responses_output import write_responses_response
from mosaic.gateway.wires.responses_request import read_responses_request
from mosaic.gateway.wires.responses_stream import ResponsesWriter
from mosaic.gateway.wires.watching import (
    chat_scanner,
    embeddings_scanner,
    messages_scanner,
    responses_scanner,
)
from mosaic.providers import Wire

__all__ = ["codec"]


def _no_stream(asked: object) -> StreamWriter:
    del asked
    raise Unsupported("This answer comes whole: it has no form as a stream.")


_CODECS: dict[Wire, WireCodec] = {
    "openai.chat": WireCodec(
        name="openai.chat",
        peek=peek_chat,
        read_request=read_chat_request,
        write_response=write_chat_response,
        writer=ChatWriter,
        error=openai_error,
        scanner=chat_scanner,
    ),
    "openai.responses": WireCodec(
        name="openai.responses",
        peek=peek_responses,
        read_request=read_responses_request,
        write_response=write_responses_response,
        writer=ResponsesWriter,
        error=openai_error,
        scanner=responses_scanner,
    ),
    "anthropic.messages": WireCodec(
        name="anthropic.messages",
        peek=peek_messages,
        read_request=read_messages_request,
        write_response=write_messages_response,
        writer=MessagesWriter,
        error=anthropic_error,
        scanner=messages_scanner,
    ),
    "openai.embeddings": WireCodec(
        name="openai.embeddings",
        peek=peek_embeddings,
        read_request=read_embeddings_request,
        write_response=write_embeddings_response,
        writer=_no_stream,
        error=openai_error,
        scanner=embeddings_scanner,
    ),
    "anthropic.count_tokens": WireCodec(
        name="anthropic.count_tokens",
        peek=peek_count,
        read_request=read_count_request,
        write_response=write_count,
        writer=_no_stream,
        error=anthropic_error,
        scanner=embeddings_scanner,
    ),
}


def codec(wire: Wire) -> WireCodec:
    """Return what `wire` offers.

    Raises:
        KeyError: if it is not one of ours.
    """
    return _CODECS[wire]
