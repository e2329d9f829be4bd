"""The tools, resources and prompts that the MCP suite expects to find, offered by our server's own code."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import mcp.types as t
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    PromptsListChanged,
    ResourceUpdated,
    ToolsListChanged,
)
from mcp.shared.exceptions import MCPError

from mosaic.core.errors import NotFound, ToolFailed
from mosaic.mcp.exchange import Exchange
from mosaic.tools import UnknownTool
from tests.conformance.suite_tasks import Job, SuiteTasks

__all__ = ["SuiteOffer"]

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
SILENCE = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="
NAME = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
CONFIRM = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
DEFAULTS = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    },
}
ENUMS = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {
            "type": "string",
            "oneOf": [{"const": f"value{n}", "title": f"Option {n}"} for n in (1, 2, 3)],
        },
        "legacyEnum": {"type": "string", "enum": ["a", "b"], "enumNames": ["Option A", "Option B"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["read", "write"]}},
        "titledMulti": {
            "type": "array",
            "items": {"anyOf": [{"const": f"value{n}", "title": f"Choice {n}"} for n in (1, 2)]},
        },
    },
}
SCHEMA_2020_12 = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
NOTHING = {"type": "object", "properties": {}}

Answer = t.CallToolResult | t.InputRequiredResult
Work = Callable[[Exchange, Mapping[str, Any]], Awaitable[Answer]]


def text(words: str) -> t.CallToolResult:
    return t.CallToolResult(content=[t.TextContent(text=words)])


def embedded(uri: str, words: str, kind: str = "text/plain") -> t.EmbeddedResource:
    return t.EmbeddedResource(resource=t.TextResourceContents(uri=uri, mime_type=kind, text=words))


def form(message: str, schema: dict[str, Any] = NAME) -> t.ElicitRequest:
    return t.ElicitRequest(params=t.ElicitRequestFormParams(message=message, requested_schema=schema))


def sample(prompt: str) -> t.CreateMessageRequest:
    message = t.SamplingMessage(role="user", content=t.TextContent(text=prompt))
    return t.CreateMessageRequest(params=t.CreateMessageRequestParams(messages=[message], max_tokens=100))


def filled(answer: object) -> dict[str, Any]:
    return dict(answer.content or {}) if isinstance(answer, t.ElicitResult) else {}


class SuiteOffer:
    """What the suite asks for."""

    def __init__(self) -> None:
        self.bus = InMemorySubscriptionBus()
        self.jobs = SuiteTasks()
        self._tools: dict[str, tuple[Work, dict[str, Any], str]] = {}
        for name, work in vars(type(self)).items():
            if name.startswith("test_"):
                schema = {"test_sampling": _object("prompt"), "test_elicitation": _object("message")}.get(
                    name, NOTHING
                )
                self._tools[name] = (getattr(self, name), schema, (work.__doc__ or name).strip())
        for name in self.jobs.tools:
            self._tools[name] = (partial(self._job, name), NOTHING, "Takes long.")
        self._tools["greet"] = (self._greet, NOTHING, "Greets.")
        region = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
        self._tools["test_x_mcp_header"] = (self._region, region, "An argument that travels as a header too.")
        self._tools["json_schema_2020_12_tool"] = (self._schema, SCHEMA_2020_12, "A schema of many keywords.")

    # -- tools

    def header_schema(self, name: str) -> Mapping[str, Any] | None:
        return self._tools[name][1] if name == "test_x_mcp_header" else None

    async def tools(self, exchange: Exchange) -> list[t.Tool]:
        return [
            t.Tool(name=name, description=about, input_schema=schema)
            for name, (_, schema, about) in self._tools.items()
        ]

    async def call(self, exchange: Exchange, name: str, arguments: Mapping[str, Any]) -> Answer:
        if name not in self._tools:
            raise UnknownTool(f"There is no tool {name}.")
        return await self._tools[name][0](exchange, arguments)

    async def _region(self, exchange: Exchange, arguments: Mapping[str, Any]) -> Answer:
        return text(f"region={arguments.get('region')}")

    async def _schema(self, exchange: Exchange, arguments: Mapping[str, Any]) -> Answer:
        return text("json_schema_2020_12_tool")

    async def _greet(self, exchange: Exchange, arguments: Mapping[str, Any]) -> Answer:
        return text(f"Hello, {arguments.get('name')}!")

    async def _job(self, name: str, exchange: Exchange, arguments: Mapping[str, Any]) -> Any:
        return await self.jobs.call(exchange, name, arguments)

    async def test_tool_with_task(self, exchange: Exchange, arguments: Mapping[str, Any]) -> Any:
        """Asks first, and takes long then."""
        answers = await exchange.ask({"user_name": form("What is your name?")}, state="task")
        name = filled(answers["user_name"]).get("name")

        async def work(_job: Job, _arguments: Mapping[str, Any]) -> t.CallToolResult:
            return text(f"Hello, {name}!")

        return self.jobs.begin(work, arguments)

    async def test_simple_text(self, exchange: Exchange, arguments: Mapping[str, Any]) -> Answer:
        """Text."""
        return text("This is a simple text response for testing.")

    async def test_image_content(self, exchange: Exchange, arguments: Mapping[str, Any]) -> Answer:
        """An image."""
        return t.CallToolResult(content=[t.ImageContent(data=PIXEL, mime_type="image/png")])

    async def test_audio_content(self, exchange: Exchange, arguments: Mapping[str, Any]) -> Answer:
        """A sound."""
        return t.CallToolResult(content=[t.AudioContent(data=SILENCE, mime_type="audio/wav")])

    async def test_embedded_resource(self, exchange: Exchange, arguments: Mapping[str, Any]) -> Answer:
        """A resource within."""
        return t.CallToolResult(
            content=[embedded("test://embedded-resource", "This is an embedded resource content.")]
        )

    async def test_multiple_content_types(self, exchange: Exchange, arguments: Mapping[str, Any]) -> Answer:
        """Some of each."""
        return t.CallToolResult(
            content=[
                t.TextContent(text="Multiple content types test:"),
                t.ImageContent(data=PIXEL, mime_type="image/png"),
                embedded(
                    "test://mixed-content-resource", '{"test": "data", "value": 123}', "application/json"
                ),
            ]
        )

    async def test_tool_with_logging(self, exchange: Exchange, arguments: Mapping[str, Any]) -> Answer:
        """Says what it does."""
        for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
            await exchange.log("info", line)
            await asyncio.sleep(0.05)
        return text("Tool with logging executed successfully")

    async def test_tool_with_progress(self, exchange: Exchange, arguments: Mapping[str, Any]) -> Answer:
        """Tells how far it is."""
        for done in (0, 50, 100):
            await exchange.tell(done, 100, f"Completed step {done} of 100")
            await asyncio.sleep(0.05)
        return text(str(exchange.meta.get("progress_token", 0)))

    async def test_error_handling(self, exchange: Exchange, arguments: Mapping[str, Any]) -> Answer:
        """Fails."""
        raise ToolFailed("This tool intentionally returns an error for testing")

    async def test_sampling(self, exchange: Exchange, arguments: Mapping[str, Any]) -> Answer:
        """Asks the client's model."""
        answers = await exchange.ask({"answer": sample(str(arguments.get("prompt")))}, state="sampling")
        content = answers["answer"].content
        return text(f"LLM response: {content.text if isinstance(content, t.TextContent) else 'no text'}")

    async def _elicited(self, exchange: Exchange, message: str, schema: dict[str, Any], said: str) -> Answer:
        answers = await exchange.ask({"form": form(message, schema)}, state="form")
        answer = answers["form"]
        return text(f"{said}: action={answer.action}, content={json.dumps(filled(answer))}")

    async def test_elicitation(self, exchange: Exchange, arguments: Mapping[str, Any]) -> Answer:
        """Asks the client's user."""
        schema = {"type": "object", "properties": {"response": {"type": "string"}}, "required": ["response"]}
        return await self._elicited(exchange, str(arguments.get("message")), schema, "User response")

    async def test_elicitation_sep1034_defaults(
        self, exchange: Exchange, arguments: Mapping[str, Any]
    ) -> Answer:
        """Asks with defaults."""
        return await self._elicited(
            exchange, "Please provide user information", DEFAULTS, "Elicitation result"
        )

    async def test_elicitation_sep1330_enums(
        self, exchange: Exchange, arguments: Mapping[str, Any]
    ) -> Answer:
        """Asks for choices."""
        return await self._elicited(exchange, "Please select", ENUMS, "Elicitation completed")

    async def test_missing_capability(self, exchange: Exchange, arguments: Mapping[str, Any]) -> Answer:
        """Needs a client that samples."""
        if exchange.capabilities.sampling is None:
            raise MCPError(
                t.MISSING_REQUIRED_CLIENT_CAPABILITY,
                "This tool requires the client 'sampling' capability",
                {"requiredCapabilities": {"sampling": {}}},
            )
        return text("Client declared sampling capability; proceeding.")

    async def test_logging_tool(self, exchange: Exchange, arguments: Mapping[str, Any]) -> Answer:
        """Logs, if anybody wants that."""
        await exchange.log("info", "a message")
        return text("logged")

    async def test_streaming_elicitation(self, exchange: Exchange, arguments: Mapping[str, Any]) -> Answer:
        """Tells how far it is, and asks."""
        await exchange.tell(50, 100, "half")
        return await self._elicited(exchange, "Go on?", CONFIRM, "Answer")

    async def test_trigger_tool_change(self, exchange: Exchange, arguments: Mapping[str, Any]) -> Answer:
        """Changes the list of tools."""
        await self.bus.publish(ToolsListChanged())
        return text("tool list changed")

    async def test_trigger_prompt_change(self, exchange: Exchange, arguments: Mapping[str, Any]) -> Answer:
        """Changes the list of prompts."""
        await self.bus.publish(PromptsListChanged())
        return text("prompt list changed")

    # -- questions of the 2026 wire

    async def test_input_required_result_elicitation(
        self, exchange: Exchange, arguments: Mapping[str, Any]
    ) -> Answer:
        """Asks for a name."""
        answers = await exchange.ask({"user_name": form("What is your name?")}, state="name")
        return text(f"Hello, {filled(answers['user_name']).get('name', 'stranger')}!")

    async def test_input_required_result_sampling(
        self, exchange: Exchange, arguments: Mapping[str, Any]
    ) -> Answer:
        """Asks a model."""
        answers = await exchange.ask({"capital": sample("What is the capital of France?")}, state="capital")
        answer = answers["capital"]
        content = answer.content if isinstance(answer, t.CreateMessageResult) else None
        return text(f"Model said: {content.text if isinstance(content, t.TextContent) else '?'}")

    async def test_input_required_result_list_roots(
        self, exchange: Exchange, arguments: Mapping[str, Any]
    ) -> Answer:
        """Asks for roots."""
        answers = await exchange.ask({"client_roots": t.ListRootsRequest()}, state="roots")
        answer = answers["client_roots"]
        count = len(answer.roots) if isinstance(answer, t.ListRootsResult) else 0
        return text(f"Client exposed {count} root(s).")

    async def test_input_required_result_request_state(
        self, exchange: Exchange, arguments: Mapping[str, Any]
    ) -> Answer:
        """Gives a state along."""
        await exchange.ask({"confirm": form("Please confirm", CONFIRM)}, state="nonce")
        return text("state-ok: confirmation received" if exchange.state == "nonce" else "state lost")

    async def test_input_required_result_multiple_inputs(
        self, exchange: Exchange, arguments: Mapping[str, Any]
    ) -> Answer:
        """Asks for three things."""
        requests: dict[str, t.InputRequest] = {
            "user_name": form("What is your name?"),
            "greeting": sample("Generate a greeting"),
            "client_roots": t.ListRootsRequest(),
        }
        await exchange.ask(requests, state="three")
        return text("All inputs received.")

    async def test_input_required_result_multi_round(
        self, exchange: Exchange, arguments: Mapping[str, Any]
    ) -> Answer:
        """Asks twice; what was said first comes back with the state."""
        state = json.loads(exchange.state) if exchange.state else {}
        if "name" not in state:
            answers = await exchange.ask({"step1": form("Step 1: What is your name?")}, state="{}")
            state = {"name": filled(answers["step1"]).get("name")}
        color = {"type": "object", "properties": {"color": {"type": "string"}}, "required": ["color"]}
        asked = {"step2": form("Step 2: What is your favorite color?", color)}
        answers = await exchange.ask(asked, state=json.dumps(state))
        return text(f"{state['name']} likes {filled(answers['step2']).get('color')}.")

    async def test_input_required_result_tampered_state(
        self, exchange: Exchange, arguments: Mapping[str, Any]
    ) -> Answer:
        """Takes only its own state back."""
        await exchange.ask({"confirm": form("Please confirm", CONFIRM)}, state="round-1")
        return text(f"state-ok: {exchange.state}")

    async def test_input_required_result_capabilities(
        self, exchange: Exchange, arguments: Mapping[str, Any]
    ) -> Answer:
        """Asks only what the client can answer."""
        requests: dict[str, t.InputRequest] = {}
        if exchange.capabilities.sampling is not None:
            requests["sample"] = sample("Say hello")
        if exchange.can_be_asked:
            requests["ask"] = form("What is your name?")
        await exchange.ask(requests, state="capabilities")
        return text("done")

    # -- resources

    async def resources(self, exchange: Exchange, cursor: str | None) -> t.ListResourcesResult:
        found = [
            t.Resource(
                uri="test://static-text", name="static-text", mime_type="text/plain", description="Text."
            ),
            t.Resource(
                uri="test://static-binary",
                name="static-binary",
                mime_type="image/png",
                description="An image.",
            ),
            t.Resource(
                uri="test://watched-resource", name="watched", mime_type="text/plain", description="Changes."
            ),
        ]
        return t.ListResourcesResult(resources=found)

    async def templates(self, exchange: Exchange) -> list[t.ResourceTemplate]:
        return [t.ResourceTemplate(uri_template="test://template/{id}/data", name="template")]

    async def read(self, exchange: Exchange, uri: str) -> t.ReadResourceResult:
        if uri == "test://static-binary":
            blob = base64.b64encode(base64.b64decode(PIXEL)).decode()
            return t.ReadResourceResult(
                contents=[t.BlobResourceContents(uri=uri, mime_type="image/png", blob=blob)]
            )
        identifier = uri.removeprefix("test://template/").removesuffix("/data")
        words = {
            "test://static-text": "This is the content of the static text resource.",
            "test://watched-resource": "Watched resource content",
            f"test://template/{identifier}/data": json.dumps({"id": identifier, "templateTest": True}),
        }.get(uri)
        if words is None:
            raise NotFound(f"There is nothing at {uri}.")
        return t.ReadResourceResult(
            contents=[t.TextResourceContents(uri=uri, mime_type="text/plain", text=words)]
        )

    async def check_watched(self, exchange: Exchange, uri: str) -> None:
        await self.bus.publish(ResourceUpdated(uri))

    def changes(self, exchange: Exchange) -> InMemorySubscriptionBus:
        return self.bus

    # -- prompts

    async def prompts(self, exchange: Exchange) -> list[t.Prompt]:
        def argument(name: str) -> t.PromptArgument:
            return t.PromptArgument(name=name, description=name, required=True)

        with_arguments = [argument("arg1"), argument("arg2")]
        return [
            t.Prompt(name="test_simple_prompt", description="Simple."),
            t.Prompt(
                name="test_prompt_with_arguments", description="Two arguments.", arguments=with_arguments
            ),
            t.Prompt(
                name="test_prompt_with_embedded_resource",
                description="A resource within.",
                arguments=[argument("resourceUri")],
            ),
            t.Prompt(name="test_prompt_with_image", description="An image within."),
            t.Prompt(name="test_input_required_result_prompt", description="Asks first."),
        ]

    async def prompt(
        self, exchange: Exchange, name: str, arguments: Mapping[str, str]
    ) -> t.GetPromptResult | t.InputRequiredResult:
        said: list[t.ContentBlock]
        if name == "test_simple_prompt":
            said = [t.TextContent(text="This is a simple prompt for testing.")]
        elif name == "test_prompt_with_arguments":
            words = f"Prompt with arguments: arg1='{arguments['arg1']}', arg2='{arguments['arg2']}'"
            said = [t.TextContent(text=words)]
        elif name == "test_prompt_with_embedded_resource":
            said = [
                embedded(arguments["resourceUri"], "Embedded resource content for testing."),
                t.TextContent(text="Please process the embedded resource above."),
            ]
        elif name == "test_prompt_with_image":
            said = [
                t.ImageContent(data=PIXEL, mime_type="image/png"),
                t.TextContent(text="Please analyze the image above."),
            ]
        elif name == "test_input_required_result_prompt":
            schema = {
                "type": "object",
                "properties": {"context": {"type": "string"}},
                "required": ["context"],
            }
            answers = await exchange.ask({"user_context": form("What context?", schema)}, state="prompt")
            context = filled(answers["user_context"]).get("context", "?")
            said = [t.TextContent(text=f"Use the following context: {context}")]
        else:
            raise NotFound(f"There is no prompt {name}.")
        return t.GetPromptResult(messages=[t.PromptMessage(role="user", content=block) for block in said])

    async def complete(self, exchange: Exchange, what: str, argument: str, begun: str) -> list[str]:
        return []

    # -- tasks

    async def task(self, exchange: Exchange, task_id: str) -> dict[str, Any]:
        return self.jobs.shown(task_id)

    async def answer_task(self, exchange: Exchange, task_id: str, responses: Mapping[str, Any]) -> None:
        self.jobs.answer(task_id, responses)

    async def cancel_task(self, exchange: Exchange, task_id: str) -> None:
        self.jobs.cancel(task_id)


def _object(*names: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: {"type": "string"} for name in names},
        "required": list(names),
    }
