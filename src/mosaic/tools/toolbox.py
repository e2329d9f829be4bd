"""The tools of one run, found by name."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from mosaic.core.context import Context
from mosaic.core.errors import InvalidDefinition, MosaicError, Unavailable
from mosaic.core.values import JsonObject
from mosaic.tools.declarations import ToolDeclaration
from mosaic.tools.errors import ToolQuarantined, UnknownTool
from mosaic.tools.interfaces import Invocation, Tool
from mosaic.tools.nearest import nearest
from mosaic.tools.schemas import RiskClass, ToolResult, ToolSpec

__all__ = ["NarrowedTool", "Toolbox", "quarantined"]

_SEVERITY = {risk: number for number, risk in enumerate(RiskClass)}


class Toolbox:
    """Resolved tools by name.

    Args:
        tools: the tools; a later one of the same name takes the place of an earlier one.
        unreachable: MCP servers (as named in the workflow) that could not be reached, and why.
        quarantined: tools that a person has to look at before they may be called, and why.
        tenant: whose they are; the door refuses them to any other. None for tools that are everybody's.
    """

    def __init__(
        self,
        tools: Iterable[Tool] = (),
        *,
        unreachable: Mapping[str, MosaicError] | None = None,
        quarantined: Mapping[str, str] | None = None,
        tenant: str | None = None,
    ) -> None:
        self.tenant = tenant
        self._tools: dict[str, Tool] = {tool.spec.name: tool for tool in tools}
        self._by_model_name = {tool.spec.model_name: tool for tool in self._tools.values()}
        self._unreachable = dict(unreachable or {})
        self._quarantined = dict(quarantined or {})

    def for_tenant(self, ctx: Context) -> "Toolbox":
        """Return this toolbox to whom it belongs.

        Raises:
            TenantViolation: if it is another tenant's.
        """
        if self.tenant is not None:
            ctx.require_tenant(self.tenant)
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in order."""
        return tuple(self._tools)

    @property
    def unreachable(self) -> Mapping[str, MosaicError]:
        """The servers that could not be reached, and why."""
        return self._unreachable

    @property
    def quarantined(self) -> Mapping[str, str]:
        """The tools that are not offered until somebody has looked at them, and why."""
        return self._quarantined

    def get(self, name: str) -> Tool:
        """Return a tool by its name, or by its `model_name`.

        Raises:
            UnknownTool: if there is none; the message names the nearest ones.
            ToolQuarantined: if it must be looked at first.
            Unavailable: if its server cannot be reached.
        """
        found = self._tools.get(name) or self._by_model_name.get(name)
        if found is not None:
            return found
        if (why := self._quarantined.get(name) or self._quarantined.get(name.replace("__", "."))) is not None:
            raise quarantined(name, why)
        for server, error in self._unreachable.items():
            if name == server or name.startswith((f"{server}.", f"{server}__")):
                raise Unavailable(f"The tool {name} cannot be used: {error.message}", hint=error.hint)
        close = self.nearest(name)
        hint = (
            f"Did you mean {' or '.join(close)}?"
            if close
            else f"There are: {', '.join(self._tools) or 'none'}."
        )
        raise UnknownTool(f"There is no tool {name[:100]!r}.", hint=hint, tool=name[:100], nearest=close)

    def specs(self, names: Sequence[str] | None = None) -> list[ToolSpec]:
        """Return the specs of the named tools, of all when None; ``files.*`` names all that start with ``files.``.

        Raises:
            UnknownTool: if a name is unknown.
        """
        if names is None:
            return [tool.spec for tool in self._tools.values()]
        found: dict[str, ToolSpec] = {}
        for name in names:
            if name.endswith(".*"):
                found |= {key: tool.spec for key, tool in self._tools.items() if key.startswith(name[:-1])}
            else:
                tool = self.get(name)
                found[tool.spec.name] = tool.spec
        return list(found.values())

    def nearest(self, name: str) -> list[str]:
        """Return the names most like `name`, at most three."""
        return nearest(name, self._tools)

    def narrowed(self, declarations: Iterable[ToolDeclaration]) -> "Toolbox":
        """Return this toolbox with the entries applied that name no source of their own.

        Raises:
            UnknownTool: if an entry narrows a tool that does not exist.
            InvalidDefinition: if an entry lowers a risk.
        """
        tools = dict(self._tools)
        for declaration in declarations:
            tool = self.get(declaration.tool or declaration.name)
            tools[declaration.name] = NarrowedTool(tool, declaration, may_lower=False)
        return Toolbox(
            tools.values(),
            unreachable=self._unreachable,
            quarantined=self._quarantined,
            tenant=self.tenant,
        )

    def only(self, wanted: Callable[[str], bool]) -> "Toolbox":
        """Return this toolbox with only the tools whose names are wanted."""
        return Toolbox(
            [tool for name, tool in self._tools.items() if wanted(name)],
            unreachable=self._unreachable,
            quarantined={name: why for name, why in self._quarantined.items() if wanted(name)},
            tenant=self.tenant,
        )


def quarantined(name: str, why: str) -> ToolQuarantined:
    """Return the error that a call of a quarantined tool gets."""
    return ToolQuarantined(
        f"The tool {name} is in quarantine: {why}.",
        hint=f"Look at it with `mosaic tools show {name}`; `mosaic tools approve {name}` accepts it as it is now.",
        tool=name,
    )


class NarrowedTool:
    """A tool with what a declaration says laid over its spec.

    Args:
        tool: the tool.
        declaration: what is said about it.
        may_lower: whether the declaration may name a milder risk class than the tool has.
    """

    def __init__(self, tool: Tool, declaration: ToolDeclaration, *, may_lower: bool) -> None:
        self._tool = tool
        self._declaration = declaration
        self._may_lower = may_lower
        risk = declaration.risk
        if risk is not None and not may_lower and _SEVERITY[risk] < _SEVERITY[tool.spec.risk]:
            raise InvalidDefinition(
                f"The tool {declaration.name} is {tool.spec.risk}; an entry cannot make it {risk}.",
                hint="Say in `policies` what may be called without asking.",
            )
        self._spec = self._narrow(tool.spec)

    @property
    def spec(self) -> ToolSpec:
        """What this tool is."""
        return self._spec

    def spec_for(self, arguments: JsonObject) -> ToolSpec:
        """Return the spec of a call with these arguments."""
        return self._narrow(self._tool.spec_for(arguments))

    async def call(self, invocation: Invocation, arguments: JsonObject) -> ToolResult:
        """Call the tool."""
        return await self._tool.call(invocation, arguments)

    async def preview(self, invocation: Invocation, arguments: JsonObject) -> JsonObject:
        """Return the tool's preview."""
        return await self._tool.preview(invocation, arguments)

    def _narrow(self, spec: ToolSpec) -> ToolSpec:
        said = self._declaration
        risk = said.risk or spec.risk
        if not self._may_lower:
            risk = max(risk, spec.risk, key=_SEVERITY.__getitem__)
        effects = spec.effects
        if said.effects is not None:
            effects = said.effects if self._may_lower else spec.effects | said.effects
        return replace(
            spec,
            name=said.name,
            original=spec.original or (spec.name if spec.name != said.name else None),
            risk=risk,
            effects=effects,
            approval=said.approval or spec.approval,
            timeout_s=said.timeout_s or spec.timeout_s,
            description=said.description or spec.description,
            retries=spec.retries if said.retries is None else said.retries,
        )
