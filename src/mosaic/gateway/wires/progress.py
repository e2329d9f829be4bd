"""How much of an answer has been streamed, so that its end can bring what is missing and nothing twice.

A provider that does not stream gives only the whole answer; one that names its calls late gives them only there.
"""

from mosaic.providers import Delta, ModelResponse, ReasoningPart, ToolCallPart

__all__ = ["Progress"]


class Progress:
    """Counts what the deltas of one answer held.

    Attributes:
        text: characters of text.
        reasoning: characters of reasoning.
        calls: the calls that have begun, by the index of their deltas: id and characters of arguments.
    """

    __slots__ = ("calls", "reasoning", "text")

    def __init__(self) -> None:
        self.text = 0
        self.reasoning = 0
        self.calls: dict[int, tuple[str, int]] = {}

    def begins(self, delta: Delta) -> bool:
        """Say whether `delta` begins a call that has not begun; count it."""
        if delta.index in self.calls or not delta.id or not delta.name:
            return False
        self.calls[delta.index] = (delta.id, 0)
        return True

    def goes_on(self, delta: Delta) -> bool:
        """Say whether `delta` brings arguments of a call that has begun; count them."""
        begun = self.calls.get(delta.index)
        if begun is None or not delta.text:
            return False
        self.calls[delta.index] = (begun[0], begun[1] + len(delta.text))
        return True

    def text_left(self, response: ModelResponse) -> str:
        """Return the text that no delta brought."""
        return response.message.text[self.text :]

    def reasoning_left(self, response: ModelResponse) -> str:
        """Return the reasoning that no delta brought."""
        shown = [part.content for part in response.message.parts if isinstance(part, ReasoningPart)]
        return "".join(shown)[self.reasoning :]

    def calls_left(self, response: ModelResponse) -> list[ToolCallPart]:
        """Return the calls that no delta began."""
        calls = response.message.tool_calls
        begun = {identifier for identifier, _ in self.calls.values()}
        left = [call for call in calls if call.id not in begun]
        return left[: max(len(calls) - len(self.calls), 0)]

    def bare_calls(self, response: ModelResponse) -> list[tuple[int, ToolCallPart]]:
        """Return the calls that have begun and got no arguments, with their index."""
        by_id = {call.id: call for call in response.message.tool_calls}
        bare = [(index, by_id.get(name)) for index, (name, size) in self.calls.items() if not size]
        return [(index, call) for index, call in bare if call is not None]
