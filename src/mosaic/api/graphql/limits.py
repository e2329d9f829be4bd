"""How much one operation may ask for, counted before anything is done: tokens, depth, aliases, and what it costs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    is_list_type,
)
from strawberry.extensions import SchemaExtension

__all__ = ["LIMITS", "Limits", "LimitsExtension"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one operation may ask for.

    Attributes:
        tokens: of the document.
        depth: fields inside fields; `__schema` and `__type` have a limit of their own.
        aliases: in the whole operation, each as often as its fragment is used.
        cost: one for each field, times how often it is asked for: `first` of a page, `listed` for a list without one.
        listed: how many rows a list without `first` is taken to have.
    """

    tokens: int = 2_000
    depth: int = 12
    aliases: int = 30
    cost: int = 10_000
    listed: int = 10


LIMITS = Limits()


class LimitsExtension(SchemaExtension):
    """Refuses what asks for too much, before it is validated."""

    def on_operation(self) -> Iterator[None]:
        """Have the parser stop at the limit."""
        self.execution_context.parse_options["max_tokens"] = LIMITS.tokens
        yield

    def on_validate(self) -> Iterator[None]:
        """Count, and refuse."""
        context = self.execution_context
        document = context.graphql_document
        if document is not None and context.pre_execution_errors is None:
            fragments = {
                one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)
            }
            schema: GraphQLSchema = context.schema._schema  # noqa: SLF001  # strawberry has no public way
            counter = _Counter(schema, fragments, context.variables or {})
            problems = [
                problem
                for one in document.definitions
                if isinstance(one, OperationDefinitionNode)
                for problem in counter.problems(one)
            ]
            if problems:
                context.pre_execution_errors = problems
        yield


@dataclass(frozen=True, slots=True)
class _Count:
    depth: int = 0
    aliases: int = 0
    cost: int = 0


_ENDLESS = _Count(depth=10**6)


class _Counter:
    """Counts operations. A fragment is counted once for each type it is used on, however often it is used."""

    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: Mapping[str, Any],
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._variables = variables
        self._known: dict[str, _Count] = {}
        self._open: set[str] = set()
        self._defaults: dict[str, int] = {}

    def problems(self, operation: OperationDefinitionNode) -> Iterator[GraphQLError]:
        root = {
            OperationType.QUERY: self._schema.query_type,
            OperationType.MUTATION: self._schema.mutation_type,
            OperationType.SUBSCRIPTION: self._schema.subscription_type,
        }[operation.operation]
        self._known.clear()  # what a fragment costs depends on the operation's variables
        self._defaults = {
            one.variable.name.value: int(one.default_value.value[:9])
            for one in operation.variable_definitions or ()
            if isinstance(one.default_value, IntValueNode)
        }
        count = self._selections(operation.selection_set, root)
        if count.depth > LIMITS.depth:
            yield _too("deep", count.depth, LIMITS.depth)
        if count.aliases > LIMITS.aliases:
            yield _too("many aliases", count.aliases, LIMITS.aliases)
        if count.cost > LIMITS.cost:
            yield _too("much at once", count.cost, LIMITS.cost)

    def _selections(self, selections: SelectionSetNode | None, parent: Any) -> _Count:
        depth = aliases = cost = 0
        for selection in selections.selections if selections is not None else ():
            if isinstance(selection, FieldNode):
                count = self._field(selection, parent)
            elif isinstance(selection, InlineFragmentNode):
                named = selection.type_condition
                count = self._selections(
                    selection.selection_set,
                    self._schema.get_type(named.name.value) if named is not None else parent,
                )
            elif isinstance(selection, FragmentSpreadNode):
                count = self._fragment(selection.name.value)
            else:
                continue
            depth, aliases, cost = max(depth, count.depth), aliases + count.aliases, cost + count.cost
        return _Count(depth, aliases, cost)

    def _fragment(self, name: str) -> _Count:
        if name in self._open:
            return _ENDLESS  # it holds itself, which validation would name, but not before it has counted too
        fragment = self._fragments.get(name)
        if name not in self._known and fragment is not None:
            self._open.add(name)
            on = self._schema.get_type(fragment.type_condition.name.value)
            self._known[name] = self._selections(fragment.selection_set, on)
            self._open.discard(name)
        return self._known.get(name, _Count())

    def _field(self, node: FieldNode, parent: Any) -> _Count:
        alias = 1 if node.alias is not None else 0
        name = node.name.value
        if name.startswith("__"):
            return _Count(1, alias, 1)
        known = (
            parent.fields.get(name) if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) else None
        )
        if known is None:
            return _Count(1, alias, 1)  # validation says that there is no such field
        inner = self._selections(node.selection_set, get_named_type(known.type))
        times = self._times(node, known, name)
        return _Count(1 + inner.depth, alias + inner.aliases, 1 + times * inner.cost)

    def _times(self, node: FieldNode, known: GraphQLField, name: str) -> int:
        if "first" in known.args:
            given = next((one.value for one in node.arguments or () if one.name.value == "first"), None)
            default = known.args["first"].default_value
            value: Any = default if isinstance(default, int) else LIMITS.listed
            if isinstance(given, IntValueNode):
                value = int(given.value[:9])
            elif isinstance(given, VariableNode):
                variable = given.name.value
                value = self._variables.get(variable, self._defaults.get(variable, value))
            return max(1, value) if isinstance(value, int) else LIMITS.cost
        kind = known.type.of_type if isinstance(known.type, GraphQLNonNull) else known.type
        return LIMITS.listed if is_list_type(kind) and name != "edges" else 1


def _too(what: str, found: int, limit: int) -> GraphQLError:
    return GraphQLError(
        f"This asks for too {what}: {found} where at most {limit} is allowed.",
        extensions={"code": "limit_exceeded", "hint": "Ask for less, or in several requests."},
    )
