"""Every name that a definition refers to: agents, tools, goto targets, branches, roles in a group."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from mosaic.agents.schemas import AgentSpec
from mosaic.core.errors import ExpressionFailed
from mosaic.core.values import JsonValue
from mosaic.workflows.action_steps import AgentStep, ToolStep, WorkflowStep
from mosaic.workflows.checks.graphs import find_cycle
from mosaic.workflows.checks.scope import inner_blocks
from mosaic.workflows.control_steps import ForkStep, ForStep, HandoffStep, VoteStep
from mosaic.workflows.inputs import schema_problems
from mosaic.workflows.language.nodes import ListNode, MapNode, ScalarNode
from mosaic.workflows.language.policies import POLICY_WORDS
from mosaic.workflows.language.reading import Reading, join_pointer
from mosaic.workflows.schemas import AgentEntry, Definition
from mosaic.workflows.spelling import nearest, shown
from mosaic.workflows.steps import Step

__all__ = ["BUILTIN_TOOLS", "ReferenceChecks"]

BUILTIN_TOOLS = frozenset(
    {
        "files.delete", "files.edit", "files.list", "files.read", "files.search", "files.write",
        "git.diff", "git.log", "git.status", "shell.run",
    }
)  # fmt: skip
"""Names of the built-in tools; a test compares them with the tools room."""


@dataclass(slots=True)
class ReferenceChecks:
    """Notes a problem for every name that means nothing.

    Attributes:
        known_tools: names of tools that exist besides the definition's own.
    """

    reading: Reading
    definition: Definition
    pointers: Mapping[str, str]
    known_tools: Collection[str]

    def run(self) -> None:
        """Check the whole definition."""
        for entry in self.definition.agents.values():
            self._agent(entry)
        self._policies(self.definition.policies, "policies")
        self._tools()
        self._block(self.definition.steps)
        for clause in self.definition.catch:
            self._block(clause.do)

    def _tools(self) -> None:
        for name, entry in self.definition.tools.items():
            target = entry.tool or name
            if entry.source == "known" and not self._tool_exists(target, own=False):
                hint = nearest(target, self.known_tools)
                hint = (
                    hint if hint and hint.startswith("did") else "say where it comes from: `mcp` or `python`"
                )
                message = f"There is no built-in tool `{shown(target)}`."
                self.reading.complain_at(join_pointer("tools", name), message, hint)

    def _tool_exists(self, name: str, *, own: bool = True) -> bool:
        if any(fnmatchcase(known, name) for known in self.known_tools):
            return True
        if not own:
            return False
        for key, entry in self.definition.tools.items():
            if fnmatchcase(key, name) or (entry.all_of_server and name.startswith(f"{key}.")):
                return True
        return False

    def _tool_names(self) -> list[str]:
        return [*self.known_tools, *self.definition.tools]

    def _agent(self, entry: AgentEntry) -> None:
        pointer = join_pointer("agents", entry.name)
        spec = entry.spec
        for index, name in enumerate(spec.tools):
            if name not in spec.preferred_tools and not self._tool_exists(name):
                place = self._place_of(pointer, "tools", index, name)
                self.reading.complain_at(
                    place, f"There is no tool `{shown(name)}`.", nearest(name, self._tool_names())
                )
        for index, name in enumerate(spec.handoffs):
            if name not in self.definition.agents:
                place = self._place_of(pointer, "handoffs", index, name)
                message = f"There is no agent `{shown(name)}` to hand over to."
                self.reading.complain_at(place, message, nearest(name, self.definition.agents))
        self._policies(spec.policies, join_pointer(pointer, "policies"))

    def _place_of(self, pointer: str, key: str, index: int, name: str) -> str:
        """Return the pointer of an item, noting its place: the agents room read it, not a shape."""
        node = self.reading.places.get(pointer)
        listed = node.get(key) if isinstance(node, MapNode) else None
        found = join_pointer(join_pointer(pointer, key), index)
        if isinstance(listed, ListNode):
            for item in listed.items:
                if isinstance(item, ScalarNode) and item.value == name:
                    self.reading.places[found] = item
        elif listed is not None:
            self.reading.places[found] = listed
        return found

    def _policies(self, rules: Mapping[str, str], pointer: str) -> None:
        for word in rules:
            if word in POLICY_WORDS or self._tool_exists(word):
                continue
            message = f"`{shown(word)}` is neither a risk word nor a tool."
            self.reading.complain_at(
                join_pointer(pointer, word), message, nearest(word, [*POLICY_WORDS, *self._tool_names()])
            )

    def _block(self, steps: tuple[Step, ...]) -> None:
        before: list[str] = []
        for step in steps:
            before.append(step.name)
            self._goto(step, before)
            self._step(step)
            for inner in inner_blocks(step):
                if isinstance(step, ForkStep) and inner is step.branches:
                    self._branches(step)
                else:
                    self._block(inner)

    def _branches(self, step: ForkStep) -> None:
        for branch in step.branches:
            self._goto(branch, [branch.name])
            self._step(branch)
            for inner in inner_blocks(branch):
                if isinstance(branch, ForkStep) and inner is branch.branches:
                    self._branches(branch)
                else:
                    self._block(inner)

    def _goto(self, step: Step, before: list[str]) -> None:
        target = step.on_fail.goto if step.on_fail else ""
        if target and target not in before:
            place = f"{self.pointers.get(step.path, '')}.on_fail.goto"
            message = f"`goto` leads to `{shown(target)}`, which is no earlier step of this list."
            self.reading.complain_at(place, message, nearest(target, before))

    def _step(self, step: Step) -> None:
        pointer = self.pointers.get(step.path, "")
        match step:
            case AgentStep():
                self._agent_step(step, pointer)
            case ToolStep(tool=name) if name and not self._tool_exists(name):
                message = f"There is no tool `{shown(name)}`."
                self.reading.complain_at(
                    join_pointer(pointer, "tool"), message, nearest(name, self._tool_names())
                )
            case HandoffStep(among=names):
                for index, name in enumerate(names):
                    self._agent_exists(name, f"{pointer}.handoff.among[{index}]")
            case VoteStep(agents=names):
                for index, name in enumerate(names):
                    self._agent_exists(name, f"{pointer}.vote.agents[{index}]")
            case ForkStep():
                self._needs(step, pointer)
            case ForStep():
                self._literal_graph(step, pointer)
            case WorkflowStep():
                self._child_inputs(step, pointer)
            case _:
                pass

    def _agent_exists(self, name: str, pointer: str) -> bool:
        if name and name not in self.definition.agents:
            message = f"There is no agent `{shown(name)}`."
            hint = nearest(name, self.definition.agents) or "define it in `agents:`"
            self.reading.complain_at(pointer, message, hint)
        return name in self.definition.agents

    def _agent_step(self, step: AgentStep, pointer: str) -> None:
        self._policies(step.policies or {}, join_pointer(pointer, "policies"))
        if not self._agent_exists(step.agent, join_pointer(pointer, "agent")):
            return
        spec = self.definition.agents[step.agent].spec
        if join_pointer("agents", step.agent) in self.reading.broken:
            return
        if step.task_kind and step.task_kind not in spec.models_by_task:
            self.reading.complain_at(
                join_pointer(pointer, "task_kind"),
                f"The agent `{step.agent}` has no models for `{shown(step.task_kind)}`.",
                nearest(step.task_kind, spec.models_by_task) or "add them to the agent's `model`",
            )
        self._step_tools(step, spec, pointer)

    def _step_tools(self, step: AgentStep, spec: AgentSpec, pointer: str) -> None:
        if step.tools is None:
            return
        for index, name in enumerate(step.tools):
            place = join_pointer(join_pointer(pointer, "tools"), index)
            if not self._tool_exists(name):
                self.reading.complain_at(
                    place, f"There is no tool `{shown(name)}`.", nearest(name, self._tool_names())
                )
            elif not any(name == entry or fnmatchcase(name, entry) for entry in spec.tools):
                message = f"The agent `{step.agent}` does not have the tool `{shown(name)}`; a step can only narrow them."
                self.reading.complain_at(
                    place, message, nearest(name, spec.tools) or "add it to the agent's `tools`"
                )

    def _needs(self, step: ForkStep, pointer: str) -> None:
        names = [branch.name for branch in step.branches]
        for branch in step.branches:
            place = f"{pointer}.fork.{branch.name}.needs"
            for need in branch.needs:
                if need == branch.name:
                    self.reading.complain_at(place, f"The branch `{need}` needs itself.")
                elif need not in names:
                    message = f"`needs` names `{shown(need)}`, which is no branch of this fork."
                    self.reading.complain_at(place, message, nearest(need, names))
        cycle = find_cycle(
            {branch.name: [need for need in branch.needs if need != branch.name] for branch in step.branches}
        )
        if cycle:
            message = f"These branches need each other: {' -> '.join(cycle)}."
            self.reading.complain_at(
                f"{pointer}.fork.{cycle[0]}.needs", message, "remove one of these `needs`"
            )

    def _literal_graph(self, step: ForStep, pointer: str) -> None:
        """Check the graph of a `for` whose items stand in the file."""
        items = step.items.tree
        if not isinstance(items, list) or not step.items.is_literal or step.needs_ is None:
            return
        place = f"{pointer}.for.needs"
        try:
            keys = [self._key(step, item, index) for index, item in enumerate(items)]
            graph: dict[str, list[str]] = {}
            for index, (key, item) in enumerate(zip(keys, items, strict=True)):
                if key in graph:
                    self.reading.complain_at(
                        f"{pointer}.for.in[{index}]", f"Two items have the key `{shown(key)}`."
                    )
                needs = step.needs_.evaluate(_item_scope(step, item, index))
                graph[key] = [str(need) for need in needs] if isinstance(needs, list) else []
        except ExpressionFailed:
            return  # it uses more than the item, or the item lacks the field: only the run can tell
        for index, key in enumerate(keys):
            for need in graph[key]:
                if need not in graph:
                    message = f"The item `{shown(key)}` needs `{shown(need)}`, which is no item."
                    self.reading.complain_at(f"{pointer}.for.in[{index}]", message, nearest(need, graph))
        cycle = find_cycle(graph)
        if cycle:
            self.reading.complain_at(
                place, f"These items need each other: {' -> '.join(cycle)}.", "remove one of these needs"
            )

    def _key(self, step: ForStep, item: JsonValue, index: int) -> str:
        if step.key is not None:
            return step.key.evaluate_text(_item_scope(step, item, index))
        if isinstance(item, dict):
            for name in ("id", "name"):
                if name in item:
                    return str(item[name])
        return str(index)

    def _child_inputs(self, step: WorkflowStep, pointer: str) -> None:
        """Check the inputs that are given to a child by name."""
        child = self.definition.children.get(step.workflow)
        tree = step.with_.tree if step.with_ else {}
        if child is None or not isinstance(tree, dict):
            return
        schema = child.inputs_schema
        properties = schema.get("properties", {})
        place = join_pointer(pointer, "with") if step.with_ else pointer
        for name in schema.get("required", ()):
            if name not in tree and "default" not in properties.get(name, {}):
                message = f"The workflow `{step.workflow}` needs the input `{shown(str(name))}`."
                self.reading.complain_at(place, message, "give it in `with`")
        closed = not (
            schema.keys() & {"additionalProperties", "patternProperties", "$ref", "allOf", "anyOf", "oneOf"}
        )
        for name, value in tree.items():
            inner = join_pointer(place, name)
            if closed and name not in properties:
                message = f"The workflow `{step.workflow}` has no input `{shown(name)}`."
                self.reading.complain_at(inner, message, nearest(name, properties))
            elif (
                name in properties and isinstance(value, str | int | float | bool) and not schema.get("$defs")
            ):
                for problem in schema_problems(properties[name], value):
                    message = f"The input `{shown(name)}` of `{step.workflow}` {problem.message}."
                    self.reading.complain_at(inner, message)


def _item_scope(step: ForStep, item: JsonValue, index: int) -> dict[str, JsonValue]:
    scope: dict[str, JsonValue] = {step.each: item}
    return {**scope, step.index: index} if step.index else scope
