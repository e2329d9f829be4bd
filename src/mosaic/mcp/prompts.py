"""Prompts: ways into MosAIc that a person may pick in their client."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import mcp.types as mcp_types

from mosaic.app.operations import Operations
from mosaic.core.context import Context
from mosaic.core.errors import InvalidInput, NotFound, Problem
from mosaic.mcp.resources import run_uri
from mosaic.runs.definitions import Definitions

__all__ = ["Prompts"]

_RUN, _WORKFLOW, _GOAL = "run", "workflow", "goal"
_MOST = 100

Messages = list[mcp_types.PromptMessage]
Read = Callable[[str], Awaitable[mcp_types.ReadResourceResult]]
Fill = Callable[[Context, Mapping[str, str], Read], Awaitable[Messages]]


@dataclass(frozen=True, slots=True)
class _Prompt:
    """One prompt; every argument of it is required."""

    title: str
    about: str
    arguments: Mapping[str, str]
    fill: Fill


class Prompts:
    """Fills them in.

    Args:
        operations: what every door can ask for.
        definitions: the workflows that a tenant has run.
    """

    def __init__(self, operations: Operations, definitions: Definitions) -> None:
        self._operations = operations
        self._definitions = definitions
        self._prompts = {
            "review_run": _Prompt(
                "Review a run",
                "Reads what a run did and what came of it, and says what deserves a second look.",
                {_RUN: "The run's id."},
                self._review,
            ),
            "explain_failure": _Prompt(
                "Explain a failure",
                "Finds out why a run failed, and what to do next.",
                {_RUN: "The run's id."},
                self._explain,
            ),
            "start_workflow": _Prompt(
                "Start a workflow",
                "Starts a workflow for a goal, and follows it.",
                {_WORKFLOW: "The workflow's name.", _GOAL: "What is to be reached."},
                self._start,
            ),
        }

    def all(self) -> list[mcp_types.Prompt]:
        """Return every prompt."""
        return [
            mcp_types.Prompt(
                name=name,
                title=prompt.title,
                description=prompt.about,
                arguments=[
                    mcp_types.PromptArgument(name=argument, description=about, required=True)
                    for argument, about in prompt.arguments.items()
                ],
            )
            for name, prompt in self._prompts.items()
        ]

    async def filled(
        self, ctx: Context, name: str, arguments: Mapping[str, str], *, read: Read
    ) -> mcp_types.GetPromptResult:
        """Return a prompt with its arguments filled in.

        Args:
            ctx: for whom.
            name: which one.
            arguments: what a person gave.
            read: reads what the prompt brings along, as far as its caller may.

        Raises:
            NotFound: if there is none of that name, or what an argument names is not there.
            InvalidInput: if an argument is missing.
        """
        prompt = self._prompts.get(name)
        if prompt is None:
            raise NotFound(
                f"There is no prompt {name[:100]!r}.", hint=f"There are: {', '.join(self._prompts)}."
            )
        missing = [argument for argument in prompt.arguments if not arguments.get(argument)]
        if missing:
            problems = [Problem("is missing", path=argument) for argument in missing]
            raise InvalidInput(f"The prompt {name} needs more.", problems=problems)
        messages = await prompt.fill(ctx, arguments, read)
        return mcp_types.GetPromptResult(description=prompt.about, messages=messages)

    async def completions(self, ctx: Context, what: str, argument: str, begun: str) -> list[str]:
        """Return runs, or workflows, whose names go on like `begun`, the newest first."""
        if argument == _WORKFLOW:
            names = [definition.name for definition in await self._definitions.newest(ctx)]
        elif argument == _RUN and (what in self._prompts or what.startswith("mosaic://runs/")):
            page = await self._operations.runs(ctx, status=None, workflow=None, limit=_MOST, cursor=None)
            names = [run["id"] for run in page["items"]]
        else:
            names = []
        return [name for name in names if name.startswith(begun)]

    async def _review(self, _ctx: Context, given: Mapping[str, str], read: Read) -> Messages:
        asked = "Review this run: what did it do, does the result hold, and what deserves a second look?"
        return [_said(asked), *await _of_run(given[_RUN], read)]

    async def _explain(self, _ctx: Context, given: Mapping[str, str], read: Read) -> Messages:
        asked = "Explain why this run went wrong, from what happened in it, and say what to do next."
        return [_said(asked), *await _of_run(given[_RUN], read)]

    async def _start(self, ctx: Context, given: Mapping[str, str], _read: Read) -> Messages:
        name = given[_WORKFLOW]
        if all(definition.name != name for definition in await self._definitions.newest(ctx)):
            raise NotFound(f"There is no workflow {name[:100]!r}.", hint="Run it once: mosaic run FILE.")
        return [
            _said(
                f"Start the workflow {name} with the tool workflow__{name} for this goal: {given[_GOAL]}\n"
                "Fill in its other inputs as the goal suggests, ask me where it does not, and tell me what came of it."
            )
        ]


async def _of_run(run_id: str, read: Read) -> Messages:
    found = []
    for uri in (run_uri(run_id), run_uri(run_id, "events")):
        (contents,) = (await read(uri)).contents
        resource = mcp_types.EmbeddedResource(resource=contents)
        found.append(mcp_types.PromptMessage(role="user", content=resource))
    return found


def _said(text: str) -> mcp_types.PromptMessage:
    return mcp_types.PromptMessage(role="user", content=mcp_types.TextContent(text=text))
