"""An endpoint that answers through the wires, as a gateway in front of a scripted model would."""

from mosaic.gateway.wires import codec
from mosaic.providers import Delta
from tests.gateway.wires.canonical import deltas
from tests.providers.endpoint import Reply

PATHS = {
    "/v1/chat/completions": "openai.chat",
    "/v1/responses": "openai.responses",
    "/v1/messages": "anthropic.messages",
    "/v1/embeddings": "openai.embeddings",
    "/v1/messages/count_tokens": "anthropic.count_tokens",
}


def speak(endpoint, *answers):
    """Let the endpoint answer as a gateway would; returns the requests as they were understood."""
    waiting, understood = list(answers), []

    def answer(received):
        wire = codec(PATHS[received.path.partition("?")[0]])
        asked = wire.read_request(received.body)
        peeked = wire.peek(received.body)
        understood.append(asked.request)
        response = waiting.pop(0)
        if not peeked.stream:
            return Reply(
                (wire.write_response(response, asked),), headers={"content-type": "application/json"}
            )
        writer = wire.writer(asked)
        if isinstance(response, Exception):
            pieces = [writer.start(), writer.feed(Delta("text", "Half")), writer.fail(response)]
        else:
            pieces = [
                writer.start(),
                *[writer.feed(piece) for piece in deltas(response)],
                writer.finish(response),
            ]
        pieces = [piece for piece in pieces if piece]
        return Reply(pieces, headers={"content-type": "text/event-stream"})

    endpoint.answer = answer
    return understood
