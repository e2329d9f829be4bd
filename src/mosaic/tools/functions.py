"""Makes a tool of a Python function: its type hints become the schema, its docstring the description."""

import asyncio
import contextlib
import contextvars
import inspect
import re
import threading
import typing
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pydantic
from pydantic_core import PydanticSerializationError, to_jsonable_python

from mosaic.core.errors import ContractViolation, InvalidDefinition, LimitExceeded, MosaicError, ToolFailed
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine import Safety
from mosaic.tools.errors import InvalidArguments
from mosaic.tools.interfaces import Invocation
from mosaic.tools.schemas import DEFAULT_TIMEOUT_S, ApprovalRule, RiskClass, ToolEffect, ToolResult, ToolSpec

__all__ = ["FunctionTool", "tool"]

Preview = Callable[[Invocation, JsonObject], JsonObject | Awaitable[JsonObject]]
SpecFor = Callable[[ToolSpec, JsonObject], ToolSpec]

_ARGUMENT_LINE = re.compile(r"^\s{2,}\*{0,2}(\w+)(?:\s*\([^)]*\))?:\s*(.+)$")
_MOST_ABANDONED = 64
_UNCHECKED = (inspect.Signature.empty, Any, None, type(None), ToolResult, object)


class FunctionTool:
    """A Python function as a tool; calling the object calls the function."""

    def __init__(
        self,
        function: Callable[..., Any],
        spec: ToolSpec,
        shape: "_Shape",
        *,
        preview: Preview | None,
        spec_for: SpecFor | None,
    ) -> None:
        self._function = function
        self._spec = spec
        self._model = shape.model
        self._output = shape.output
        self._invocation = shape.invocation
        self._preview = preview
        self._spec_for = spec_for

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function as it is, past the door; for its own tests."""
        return self._function(*args, **kwargs)

    @property
    def spec(self) -> ToolSpec:
        """What this tool is."""
        return self._spec

    def spec_for(self, arguments: JsonObject) -> ToolSpec:
        """Return the spec of a call with these arguments."""
        return self._spec_for(self._spec, arguments) if self._spec_for is not None else self._spec

    async def preview(self, invocation: Invocation, arguments: JsonObject) -> JsonObject:
        """Return what the function's own preview shows; nothing when it has none."""
        if self._preview is None:
            return {}
        shown = self._preview(invocation, arguments)
        return await shown if inspect.isawaitable(shown) else shown

    async def call(self, invocation: Invocation, arguments: JsonObject) -> ToolResult:
        """Call the function; a synchronous one runs in a thread of its own.

        A thread cannot be ended from outside: one that hangs past its timeout is left behind.
        """
        try:
            parsed = self._model.model_validate(arguments)
        except pydantic.ValidationError as error:
            raise InvalidArguments(f"{self._spec.name}: {_first_problem(error)}") from error
        values = {name: getattr(parsed, name) for name in type(parsed).model_fields}
        if self._invocation is not None:
            values[self._invocation] = invocation
        try:
            if inspect.iscoroutinefunction(self._function):
                value = await self._function(**values)
            else:
                value = await _in_a_thread(self._function, values)
        except MosaicError:
            raise
        except Exception as error:  # a stranger's function may raise anything
            raise ToolFailed(f"{self._spec.name} raised {type(error).__name__}: {error}") from error
        return value if isinstance(value, ToolResult) else ToolResult(self._dumped(value))

    def _dumped(self, value: Any) -> JsonValue:
        try:
            if self._output is not None:
                dumped: JsonValue = self._output.dump_python(value, mode="json", warnings="error")
                return dumped
            return to_jsonable_python(value)  # type: ignore[no-any-return]  # that is what it makes
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            raise ContractViolation(
                f"{self._spec.name} returned a {type(value).__name__}, which is not what it promises."
            ) from error


def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    risk: RiskClass | str = RiskClass.DESTRUCTIVE,
    effects: Iterable[ToolEffect | str] = (),
    timeout_s: float = DEFAULT_TIMEOUT_S,
    stop_s: float = 0.0,
    safety: Safety = Safety.UNSAFE,
    retries: bool = False,
    approval: ApprovalRule | None = None,
    preview: Preview | None = None,
    spec_for: SpecFor | None = None,
) -> Callable[[Callable[..., Any]], FunctionTool]:
    """Make a tool of the function below.

    ``@tool(risk="read_only")`` above a function with type hints is all it takes. A parameter annotated
    `Invocation` gets the invocation and is no argument. Without a risk class the tool is destructive and asks.

    Args:
        name: the function's own when None.
        description: the first paragraph of its docstring when None.
        risk: how much harm a call can do.
        effects: what a call touches.
        timeout_s: seconds a call may take.
        stop_s: seconds beyond that, for a tool that keeps its own time.
        safety: whether a call that was cut short may simply run again.
        retries: whether a retryable failure may be tried again.
        approval: who is asked, when a call must be asked for.
        preview: returns what an approver should see.
        spec_for: changes the spec by arguments.

    Raises:
        InvalidDefinition: if a parameter cannot be an argument.
    """

    def make(function: Callable[..., Any]) -> FunctionTool:
        shape = _shape(function, name or function.__name__)
        spec = ToolSpec(
            name=name or function.__name__,
            description=description or _summary(function),
            input_schema=shape.input_schema,
            output_schema=shape.output_schema,
            risk=RiskClass(risk),
            effects=frozenset(ToolEffect(effect) for effect in effects),
            timeout_s=timeout_s,
            stop_s=stop_s,
            safety=safety,
            source=f"python:{function.__module__}:{function.__qualname__}",
            retries=retries,
            approval=approval,
        )
        return FunctionTool(function, spec, shape, preview=preview, spec_for=spec_for)

    return make


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a function takes and gives, from its hints."""

    model: type[pydantic.BaseModel]
    output: pydantic.TypeAdapter[Any] | None
    invocation: str | None

    @property
    def input_schema(self) -> JsonObject:
        made: JsonObject = _plain_schema(self.model.model_json_schema())
        return made

    @property
    def output_schema(self) -> JsonObject | None:
        if self.output is None:
            return None
        made: JsonObject = _plain_schema(self.output.json_schema(mode="serialization"))
        return made


def _shape(function: Callable[..., Any], called: str) -> _Shape:
    fields, invocation, returned = _signature(function, called)
    model = pydantic.create_model(called, __config__=pydantic.ConfigDict(extra="forbid"), **fields)
    output = None if returned in _UNCHECKED else pydantic.TypeAdapter(returned)
    return _Shape(model, output, invocation)


def _signature(function: Callable[..., Any], called: str) -> tuple[dict[str, Any], str | None, Any]:
    """Return the fields of the arguments, the name of the invocation parameter, and the return type."""
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise InvalidDefinition(f"The type hints of the tool {called} cannot be read: {error}") from error
    told, fields, injected = _argument_docs(function), {}, None
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise InvalidDefinition(
                f"The tool {called} takes {parameter}, which cannot be described.", hint="Name each argument."
            )
        hint = hints.get(parameter.name, Any)
        if hint is Invocation:
            injected = parameter.name
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hint, pydantic.Field(default, description=told.get(parameter.name)))
    return fields, injected, hints.get("return", inspect.Signature.empty)


def _summary(function: Callable[..., Any]) -> str:
    return (inspect.getdoc(function) or function.__name__).split("\n\n")[0].replace("\n", " ")


def _argument_docs(function: Callable[..., Any]) -> dict[str, str]:
    """Return what a Google-style docstring says about each argument."""
    _, _, section = (inspect.getdoc(function) or "").partition("Args:\n")
    found = (_ARGUMENT_LINE.match(line) for line in section.split("\n\n")[0].splitlines())
    return {match[1]: match[2] for match in found if match}


def _plain_schema(schema: Any) -> Any:
    """Return a schema without the titles that pydantic adds to everything."""
    if isinstance(schema, list):
        return [_plain_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _plain_schema(item) for name, item in value.items()}
        if key in ("properties", "$defs") and isinstance(value, dict)
        else _plain_schema(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str))
    }


def _first_problem(error: pydantic.ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"


_threads: set[threading.Thread] = set()


async def _in_a_thread(function: Callable[..., Any], values: dict[str, Any]) -> Any:
    """Run in a new daemon thread: a function that hangs takes no place in a pool and does not hold up our end."""
    abandoned = sum(thread.is_alive() for thread in tuple(_threads))
    if abandoned >= _MOST_ABANDONED:
        raise LimitExceeded(
            f"{abandoned} calls of Python tools are still running.", hint="Some of them hang."
        )
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()
    done: asyncio.Future[Any] = loop.create_future()

    def settle(value: Any, error: BaseException | None) -> None:
        if not done.done():
            done.set_exception(error) if error is not None else done.set_result(value)

    def work() -> None:
        outcome: tuple[Any, BaseException | None]
        try:
            outcome = (context.run(function, **values), None)
        except BaseException as error:  # noqa: BLE001  # also SystemExit: it must not vanish with the thread
            # A future takes no StopIteration, and what is no Exception would end the event loop.
            plain = isinstance(error, Exception) and not isinstance(error, StopIteration)
            outcome = (None, error if plain else ToolFailed(f"It raised {type(error).__name__}."))
        finally:
            _threads.discard(threading.current_thread())
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, *outcome)

    thread = threading.Thread(target=work, name=f"tool-{function.__name__}", daemon=True)
    _threads.add(thread)
    thread.start()
    return await done
