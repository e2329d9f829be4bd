"""A run's tools are found by name, narrowed by the workflow, and never made milder by it."""

import pytest

from mosaic.core.errors import Conflict, InvalidDefinition, Unavailable
from mosaic.tools import (
    ApprovalRule,
    RiskClass,
    Toolbox,
    Toolboxes,
    ToolDeclaration,
    ToolEffect,
    ToolSettings,
    ToolSpec,
    UnknownTool,
    tool,
)
from mosaic.tools.builtin import BUILTINS
from tests.tools.conftest import Bench
from tests.tools.test_door import Counter

pytestmark = pytest.mark.anyio


def test_every_builtin_fits_every_model_api() -> None:
    names = [builtin.spec.model_name for builtin in BUILTINS]
    assert len(set(names)) == len(names)
    assert "files__read" in names
    for builtin in BUILTINS:
        assert builtin.spec.input_schema["type"] == "object"
        assert len(builtin.spec.description) > 20


def test_long_names_become_short_ones_that_differ() -> None:
    one, two = (ToolSpec("a" * 90 + end, "", {}).model_name for end in "xy")
    assert one != two
    assert len(one) == len(two) == 64


def test_groups_of_tools_are_named_by_a_star() -> None:
    toolbox = Toolbox(BUILTINS)
    assert {spec.name for spec in toolbox.specs(["git.*", "files.read"])} == {
        *("git.status", "git.diff", "git.log", "files.read"),
    }
    assert len(toolbox.specs()) == len(BUILTINS)
    with pytest.raises(UnknownTool, match=r"files\.raed"):
        toolbox.specs(["files.raed"])


def test_an_entry_narrows_a_tool_and_never_makes_it_milder() -> None:
    toolbox = Toolbox([Counter(risk=RiskClass.GENERATIVE)])
    rule = ApprovalRule(roles=("lead",), required=True)
    entry = ToolDeclaration(
        "x.count",
        risk=RiskClass.DESTRUCTIVE,
        approval=rule,
        timeout_s=5,
        effects=frozenset({ToolEffect.EXEC}),
    )
    spec = toolbox.narrowed([entry]).get("x.count").spec
    assert (spec.risk, spec.approval, spec.timeout_s) == ("destructive", rule, 5)
    assert spec.effects == {ToolEffect.EXEC}
    with pytest.raises(InvalidDefinition, match="cannot make it read_only"):
        toolbox.narrowed([ToolDeclaration("x.count", risk=RiskClass.READ_ONLY)])
    with pytest.raises(UnknownTool):
        toolbox.narrowed([ToolDeclaration("x.cuont", timeout_s=1)])


def test_an_entry_may_give_a_tool_a_second_name() -> None:
    toolbox = Toolbox([Counter()]).narrowed([ToolDeclaration("careful", tool="x.count", timeout_s=1)])
    assert toolbox.names == ("x.count", "careful")
    assert toolbox.get("careful").spec.timeout_s == 1


def test_a_tool_of_a_server_that_is_away_is_unavailable_not_unknown() -> None:
    toolbox = Toolbox(unreachable={"docs": Unavailable("it does not answer")})
    for name in ("docs.search", "docs__search", "docs"):
        with pytest.raises(Unavailable, match="does not answer"):
            toolbox.get(name)
    with pytest.raises(UnknownTool):
        toolbox.get("docsearch")


async def test_registered_tools_are_in_every_toolbox(bench: Bench) -> None:
    boxes = Toolboxes(ToolSettings(), data_dir=bench.workspace.parent)

    @tool(name="my.tool", risk="read_only")
    def mine() -> int:
        """Say one."""
        return 1

    boxes.register(mine)
    with pytest.raises(Conflict, match="registered already"):
        boxes.register(mine)
    async with boxes.open(bench.ctx, "run_1") as toolbox:
        assert (await bench.call("my.tool", toolbox=toolbox)).content == 1
        assert "http.request" in toolbox.names


async def test_a_python_reference_reaches_only_what_is_offered(bench: Bench) -> None:
    boxes = Toolboxes(ToolSettings(), data_dir=bench.workspace.parent)
    with pytest.raises(InvalidDefinition, match="No installed package offers the tool 'os:system'"):
        async with boxes.open(bench.ctx, "run_1", [ToolDeclaration("evil", python="os:system")]):
            pass

    @tool(risk="generative")
    def mine() -> int:
        """Say one."""
        return 1

    boxes.register(mine)
    reference = mine.spec.source.removeprefix("python:")
    async with boxes.open(bench.ctx, "run_1", [ToolDeclaration("renamed", python=reference)]) as toolbox:
        assert (await bench.call("renamed", toolbox=toolbox)).content == 1


async def test_what_a_declaration_names_wrongly_is_said(bench: Bench) -> None:
    boxes = Toolboxes(ToolSettings(), data_dir=bench.workspace.parent)
    for entry, message in (
        (ToolDeclaration("docs", mcp="docz"), "no MCP server 'docz'"),
        (ToolDeclaration("files.raed", timeout_s=1), "narrows a tool that is not there"),
    ):
        with pytest.raises(InvalidDefinition, match=message):
            async with boxes.open(bench.ctx, "run_1", [entry]):
                pass
