"""The tools of a request for a response, and the choice among them."""

from typing import Any

from mosaic.core.errors import Unsupported
from mosaic.core.values import JsonObject
from mosaic.gateway.wires.members import invalid
from mosaic.gateway.wires.reading import choice, object_at, optional_text, sequence, text_at
from mosaic.gateway.wires.tools import custom_tool, no_parameters
from mosaic.providers import ToolDefinition

__all__ = ["Toolbox", "flat_name"]

# Run by the client, with a schema that only OpenAI's models know.
_FOREIGN = ("local_shell", "shell", "apply_patch", "computer", "computer_use_preview")


def flat_name(namespace: str | None, name: str) -> str:
    """Return the one name of a tool that may stand in a namespace."""
    return f"{namespace}__{name}" if namespace else name


class Toolbox:
    """Collects tools.

    Attributes:
        custom: the names of tools that take one text.
        namespaces: for a tool in a namespace, by its flat name: the namespace and the name in it.
        ignored: the types of tools that only OpenAI can run.
    """

    def __init__(self) -> None:
        self.custom: set[str] = set()
        self.namespaces: dict[str, list[str]] = {}
        self.ignored: list[str] = []
        self._tools: dict[str, ToolDefinition] = {}

    def read(self, value: Any, path: str, *, namespace: str | None = None) -> None:
        """Take the tools in a list.

        Raises:
            InvalidInput: with the path of what is wrong.
            Unsupported: for a tool that is known to OpenAI's models alone.
        """
        for index, item in enumerate(sequence(value, path)):
            where = f"{path}[{index}]"
            tool = object_at(item, where)
            kind = text_at(tool.get("type"), f"{where}.type")
            if kind == "namespace" and namespace is None:
                name = text_at(tool.get("name"), f"{where}.name")
                self.read(tool.get("tools"), f"{where}.tools", namespace=name)
            elif kind in ("function", "custom"):
                self._add(kind, tool, where, namespace)
            elif kind in _FOREIGN:
                raise _foreign(where, kind)
            else:
                self.ignored.append(kind[:80])

    def offered(self) -> tuple[ToolDefinition, ...]:
        """Return the tools that may be called.

        Raises:
            Unsupported: if all that were asked for are OpenAI's own.
        """
        if self.ignored and not self._tools:
            raise _foreign("tools", self.ignored[0])
        return tuple(self._tools.values())

    def choose(self, value: Any) -> str:
        """Return the canonical choice; a list of allowed tools leaves only those.

        Raises:
            InvalidInput: with the path of what is wrong.
            Unsupported: if it names a tool that is OpenAI's own.
        """
        if value is None or not self._tools:
            return "auto"
        if isinstance(value, str):
            return choice(value, "tool_choice", ("auto", "required", "none"))
        shown = object_at(value, "tool_choice")
        kind = text_at(shown.get("type"), "tool_choice.type")
        if kind == "allowed_tools":
            return self._allow(shown)
        if kind not in ("function", "custom"):
            raise _foreign("tool_choice", kind)
        namespace = optional_text(shown.get("namespace"), "tool_choice.namespace")
        name = flat_name(namespace, text_at(shown.get("name"), "tool_choice.name"))
        if name not in self._tools:
            raise invalid("tool_choice.name", "This tool is not among `tools`.")
        return name

    def _allow(self, shown: JsonObject) -> str:
        mode = choice(shown.get("mode"), "tool_choice.mode", ("auto", "required"))
        allowed: set[str] = set()
        for index, item in enumerate(sequence(shown.get("tools"), "tool_choice.tools")):
            path = f"tool_choice.tools[{index}]"
            tool = object_at(item, path)
            if tool.get("type") in ("function", "custom"):
                allowed.add(text_at(tool.get("name"), f"{path}.name"))
        self._tools = {name: tool for name, tool in self._tools.items() if name in allowed}
        return mode

    def _add(self, kind: str, tool: JsonObject, path: str, namespace: str | None) -> None:
        inner = text_at(tool.get("name"), f"{path}.name")
        name = flat_name(namespace, inner)
        told = optional_text(tool.get("description"), f"{path}.description") or ""
        if namespace:
            self.namespaces[name] = [namespace, inner]
        if kind == "custom":
            self.custom.add(name)
            form = object_at(tool.get("format") or {}, f"{path}.format")
            grammar = optional_text(form.get("definition"), f"{path}.format.definition")
            self._tools[name] = custom_tool(name, told, grammar)
            return
        schema = tool.get("parameters")
        schema = no_parameters() if schema is None else object_at(schema, f"{path}.parameters")
        self._tools[name] = ToolDefinition(name, told, schema)


def _foreign(path: str, kind: str) -> Unsupported:
    return Unsupported(
        f"{path}: The tool {kind[:80]!r} is known to OpenAI's own models only.",
        hint="Use a route that leads to OpenAI, or describe the tool as a function.",
    )
