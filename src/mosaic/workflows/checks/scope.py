"""Every variable of every expression, checked where it stands: is it there yet, and has it that field?"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mosaic.expressions import CelError, Member, Reference, compile_program
from mosaic.workflows.action_steps import EmitStep, SetStep, ValidateStep
from mosaic.workflows.checks.graphs import in_order, reachable
from mosaic.workflows.checks.outputs import (
    ERROR,
    FEEDBACK,
    RUN,
    TEXT,
    UNKNOWN,
    WHOLE,
    Known,
    Wrong,
    action_output,
    descend,
    list_of,
    object_of,
)
from mosaic.workflows.checks.templates import templates_of
from mosaic.workflows.control_steps import (
    DoStep,
    ForkStep,
    ForStep,
    SwitchStep,
    TryStep,
    WhileStep,
)
from mosaic.workflows.expressions import Template, Value
from mosaic.workflows.language.reading import Reading, join_pointer
from mosaic.workflows.language.step_shapes import RESERVED
from mosaic.workflows.schemas import Definition
from mosaic.workflows.spelling import nearest
from mosaic.workflows.step_base import Catch, StepBase
from mosaic.workflows.steps import Step

__all__ = ["ScopeChecks"]

Scope = Mapping[str, Known]


@dataclass(slots=True)
class ScopeChecks:
    """Walks a definition in the order in which it runs, with what is known at each point."""

    reading: Reading
    definition: Definition
    pointers: Mapping[str, str]
    lines: dict[str, list[tuple[str, int]]] = field(default_factory=dict)

    def run(self) -> None:
        """Note a problem for everything that names something that is not there."""
        self._index(self.definition.steps)
        for clause in self.definition.catch:
            self._index(clause.do)
        scope: Scope = {
            "inputs": self._inputs(),
            "run": RUN,
            "feedback": FEEDBACK,
        }
        after, _ = self._block(self.definition.steps, scope, UNKNOWN)
        finished = {step.name: UNKNOWN for step in self.definition.steps}
        self._clauses(self.definition.catch, {**scope, **finished}, "")
        if self.definition.outputs is not None:
            self._value(self.definition.outputs, after, "")

    def _inputs(self) -> Known:
        schema = self.definition.inputs_schema
        return Known(schema, schema) if schema else UNKNOWN

    def _index(self, steps: Iterable[Step]) -> None:
        """Note where each step name is defined, to say why it is not visible elsewhere."""
        for step in steps:
            self.lines.setdefault(step.name, []).append((step.path, step.place.line))
            for inner in inner_blocks(step):
                self._index(inner)

    def _block(self, steps: tuple[Step, ...], scope: Scope, before: Known) -> tuple[Scope, Known]:
        """Check the steps in order; return the scope after them and what is known of the block's result."""
        result = before
        for step in steps:
            output = self._step(step, scope, result)
            result = UNKNOWN if step.condition is not None else output
            scope = {**scope, step.name: output}
        return scope, result

    def _step(self, step: Step, scope: Scope, before: Known) -> Known:
        self._not_hidden(step, scope)
        for template in _own_templates(step):
            self._template(template, scope, step.path)
        output = self._inside(step, scope, before)
        if self.pointers.get(step.path, "") in self.reading.broken:
            output = UNKNOWN
        if step.output_schema is not None:
            output = Known(step.output_schema, step.output_schema)
        self._clauses(step.catch, scope, step.path)
        undone = {**scope, step.name: output, "error": ERROR}
        self._block(step.compensate, undone, output)
        handled = any(clause.then == "continue" for clause in step.catch)
        return UNKNOWN if handled else output

    def _inside(self, step: Step, scope: Scope, before: Known) -> Known:  # noqa: C901  # one line per kind
        match step:
            case DoStep():
                return self._block(step.do, scope, UNKNOWN)[1]
            case ForStep():
                return self._for_step(step, scope)
            case WhileStep():
                return self._while_step(step, scope)
            case ForkStep():
                return self._fork(step, scope)
            case SwitchStep():
                for case in step.cases:
                    self._template(case.when, scope, step.path)
                    self._block(case.do, scope, UNKNOWN)
                self._block(step.default or (), scope, UNKNOWN)
                return UNKNOWN
            case TryStep():
                result = self._block(step.do, scope, UNKNOWN)[1]
                self._block(step.finally_, scope, UNKNOWN)
                return result
            case ValidateStep():
                return self._validate(step, scope, before)
            case SetStep():
                return self._value(step.value, scope, step.path)
            case EmitStep(data=data):
                return self._value(data, scope, step.path) if data else UNKNOWN
            case _:
                return action_output(step, self.definition.agents, self.definition.children)

    def _for_step(self, step: ForStep, scope: Scope) -> Known:
        items = self._value(step.items, scope, step.path)
        self._free_name(step.each, "each", step, scope)
        inner: dict[str, Known] = {**scope, step.each: _item(items)}
        if step.index:
            self._free_name(step.index, "index", step, scope)
            inner[step.index] = WHOLE
        for template in (step.key, *(step.needs_.templates if step.needs_ else ())):
            if template is not None:
                self._template(template, inner, step.path)
        inner["needed"] = UNKNOWN
        return list_of(self._block(step.do, inner, UNKNOWN)[1])

    def _while_step(self, step: WhileStep, scope: Scope) -> Known:
        last_time = {inner.name: UNKNOWN for inner in step.do}
        inner = {**scope, **last_time, "iteration": WHOLE}
        self._template(step.condition_, inner, step.path)
        return self._block(step.do, inner, UNKNOWN)[1]

    def _fork(self, step: ForkStep, scope: Scope) -> Known:
        graph = {branch.name: branch.needs for branch in step.branches}
        branches = {branch.name: branch for branch in step.branches}
        outputs: dict[str, Known] = {}
        for name in in_order(graph):
            if name in branches:
                before = {
                    need: outputs.get(need, UNKNOWN) for need in reachable(graph, name) if need in branches
                }
                before.pop(name, None)
                outputs[name] = self._step(branches[name], {**scope, **before}, UNKNOWN)
        return object_of({branch.name: outputs.get(branch.name, UNKNOWN) for branch in step.branches})

    def _validate(self, step: ValidateStep, scope: Scope, before: Known) -> Known:
        checked = self._value(step.value, scope, step.path) if step.value else before
        inner = {**scope, "value": checked}
        for check in step.checks:
            for template in templates_of(check):
                self._template(template, inner, step.path)
        return checked

    def _clauses(self, clauses: tuple[Catch, ...], scope: Scope, path: str) -> None:
        for index, clause in enumerate(clauses):
            if clause.error in scope:
                place = self.pointers.get(path, "")
                pointer = f"{place}.catch[{index}].as" if place else f"catch[{index}].as"
                self.reading.complain_at(
                    pointer, f"`{clause.error}` hides something of that name.", "choose another `as`"
                )
            inner = {**scope, clause.error: ERROR}
            if clause.condition is not None:
                self._template(clause.condition, inner, path)
            self._block(clause.do, inner, UNKNOWN)

    def _value(self, value: Value, scope: Scope, path: str) -> Known:
        """Check the expressions of a value and return what is known of it."""
        return self._tree(value.tree, scope, path)

    def _tree(self, tree: object, scope: Scope, path: str) -> Known:
        if isinstance(tree, Template):
            self._template(tree, scope, path)
            return self._known(tree, scope) if tree.is_whole else TEXT
        if isinstance(tree, dict):
            return object_of({key: self._tree(item, scope, path) for key, item in tree.items()})
        if isinstance(tree, list):
            items = [self._tree(item, scope, path) for item in tree]
            return list_of(items[0] if len(items) == 1 else UNKNOWN)
        return TEXT if isinstance(tree, str) else UNKNOWN

    def _known(self, template: Template, scope: Scope) -> Known:
        scan = compile_program(template.parts[0].text).scan
        if not scan.is_chain or scan.references[0].name not in scope:
            return UNKNOWN
        reference = scan.references[0]
        found = descend(scope[reference.name], reference.path, reference.name)
        return UNKNOWN if isinstance(found, Wrong) else found

    def _template(self, template: Template, scope: Scope, path: str) -> None:
        for part in template.expressions:
            try:
                scan = compile_program(part.text).scan
            except CelError:  # told when it was read
                continue
            for reference in scan.references:
                self._reference(template, part.offset, reference, scope, path)

    def _reference(
        self, template: Template, offset: int, reference: Reference, scope: Scope, path: str
    ) -> None:
        if reference.name not in scope:
            message, hint = self._unknown(reference.name, scope, path)
            self.reading.complain_in(template, offset + reference.offset, message, hint)
            return
        chain = reference.path[:-1] if reference.tested else reference.path
        found = descend(scope[reference.name], chain, reference.name)
        if isinstance(found, Wrong):
            member = chain[found.position]
            hint = nearest(str(member.key), found.names)
            if hint and not hint.startswith("did"):
                hint = None  # the message lists them
            if reference.name == "inputs" and found.position == 0 and hint is None:
                hint = "declare it in `inputs:` at the top"
            self.reading.complain_in(template, offset + member.offset, f"{found.message}.", hint)

    def _unknown(self, name: str, scope: Scope, path: str) -> tuple[str, str | None]:
        """Return why a name is not visible, and what to do."""
        for other, line in self.lines.get(name, ()):
            parent, _, _ = other.rpartition("/")
            if path == other or path.startswith(other + "/"):
                return f"`{name}` is the step that this is part of: it has no output yet.", None
            if path.startswith(parent + "/") or not parent:
                if self._is_branch(parent):
                    message = (
                        f"`{name}` is another branch of the same fork (line {line}): it may not be done yet."
                    )
                    return message, f"add `needs: [{name}]` to this branch"
                return f"`{name}` is a step that runs later (line {line}).", "move this step behind it"
            around = parent.rpartition("/")[2]
            return (
                f"`{name}` is a step inside `{around}` (line {line}): it is visible only there.",
                f"use the output of `{around}`",
            )
        message = f"Unknown variable `{name}`."
        if name.isupper():
            return message, f"for a variable of the shell write `${name}` or `$${{{name}}}`"
        if name == "item":
            return message, "name the item with `for: {each: item, ...}`"
        return message, nearest(name, scope)

    def _is_branch(self, path: str) -> bool:
        place = self.pointers.get(path, "")
        return bool(place) and join_pointer(place, "fork") in self.reading.places

    def _not_hidden(self, step: Step, scope: Scope) -> None:
        if step.name not in scope or (scope[step.name] is UNKNOWN and self._repeats(step)):
            return
        named = self.lines.get(step.name, ())
        lines = [line for path, line in named if path != step.path]
        if step.name in RESERVED or len(named) - len(lines) > 1:
            return  # told when the name was read
        where = f" (line {lines[0]})" if lines else ""
        self.reading.complain_at(
            self.pointers.get(step.path, ""),
            f"The step `{step.name}` hides something of that name outside its block{where}.",
            "choose another name",
        )

    def _repeats(self, step: Step) -> bool:
        """Say whether the step stands directly in a `while`, where its name means its last output."""
        parent = self.pointers.get(step.path.rpartition("/")[0], "")
        return bool(parent) and join_pointer(parent, "while") in self.reading.places

    def _free_name(self, name: str, key: str, step: ForStep, scope: Scope) -> None:
        if name and name in scope:
            pointer = f"{self.pointers.get(step.path, '')}.for.{key}"
            self.reading.complain_at(
                pointer, f"`{name}` hides something of that name.", "choose another name"
            )


def _item(items: Known) -> Known:
    found = descend(items, (Member("each", None, 0),), "")
    return UNKNOWN if isinstance(found, Wrong) else found


def inner_blocks(step: Step) -> Iterable[tuple[Step, ...]]:
    """Yield every list of steps that a step holds."""
    for clause in step.catch:
        yield clause.do
    yield step.compensate
    match step:
        case TryStep():
            yield step.do
            yield step.finally_
        case DoStep() | ForStep() | WhileStep():
            yield step.do
        case ForkStep():
            yield step.branches
        case SwitchStep():
            for case in step.cases:
                yield case.do
            yield step.default or ()


_ELSEWHERE = {
    ForStep: ("items", "key", "needs_"),
    WhileStep: ("condition_",),
    SwitchStep: ("cases",),
    ValidateStep: ("checks", "value"),
    SetStep: ("value",),
    EmitStep: ("data",),
}


def _own_templates(step: StepBase) -> list[Template]:
    """Return the templates of a step that see exactly the step's scope."""
    return templates_of(step, skip=_ELSEWHERE.get(type(step), ()))
