"""A plan while it is changed: operations are applied to a copy, and every problem is noted before anything is said."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mosaic.core.errors import Conflict, InvalidInput, Problem
from mosaic.core.ids import new_id
from mosaic.planning.keys import child_kind, make_key, most_children, parse_key
from mosaic.planning.operations import (
    Add,
    ItemFields,
    Link,
    Move,
    Operation,
    Remove,
    Unlink,
    Update,
    UpdatePlan,
)
from mosaic.planning.ranks import place_between
from mosaic.planning.schemas import Item, Plan

__all__ = ["MOST_ITEMS", "Draft", "Refused"]

MOST_ITEMS = 5_000
"""Items of one plan."""
_MOST_DEPENDENCIES = 200
_MOST_PROBLEMS = 200
_KEPT_EMPTY: dict[str, Any] = {"description": "", "priority": 3, "labels": [], "acceptance": [], "brief": {}}


class Refused(Exception):
    """One operation cannot be done: why, and the next step."""

    def __init__(self, message: str, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.suggestion = suggestion


class Draft:
    """A copy of a plan that operations change.

    Attributes:
        plan: the plan as it would be.
        items: its items as they would be, by id.

    Args:
        plan: the plan as it is.
        items: its items as they are.
        others: items of other plans that may be named.
        active: ids of items that a run works on.
    """

    def __init__(
        self,
        plan: Plan,
        items: Iterable[Item],
        *,
        others: Iterable[Item] = (),
        active: Iterable[str] = (),
    ) -> None:
        self.plan = plan
        self.items: dict[str, Item] = {item.id: item for item in items}
        self._others = {item.id: item for item in others}
        self._others_by_key = {(item.plan, item.key): item.id for item in self._others.values()}
        self._active = frozenset(active)
        self._by_key = {item.key: item.id for item in self.items.values()}
        self._children: dict[str | None, list[str]] = {}
        for item in sorted(self.items.values(), key=lambda item: (item.rank, item.number)):
            self._children.setdefault(item.parent, []).append(item.id)
        self._refs: dict[str, str] = {}
        self._later: list[tuple[str, str, str]] = []
        self._problems: list[Problem] = []

    def apply(self, operations: Sequence[Operation], *, where: Callable[[int], str] | None = None) -> None:
        """Do the operations in order.

        Args:
            operations: what to do.
            where: the place of an operation, for messages.

        Raises:
            InvalidInput: naming everything that cannot be done; the draft is of no use then.
        """
        where = where or (lambda index: f"operations[{index}]")
        for index, operation in enumerate(operations):
            try:
                self._do(operation, where(index))
            except Refused as refused:
                self._complain(where(index), refused)
        for item_id, reference, place in self._later:
            try:
                if item_id in self.items:
                    self._link(item_id, self._resolve(reference))
            except Refused as refused:
                self._complain(place, refused)
        if len(self.items) > MOST_ITEMS:
            self._problems.append(Problem(f"a plan has at most {MOST_ITEMS} items", path="operations"))
        if self._problems:
            raise InvalidInput("The change cannot be made.", problems=self._problems[:_MOST_PROBLEMS])

    def _complain(self, path: str, refused: Refused) -> None:
        self._problems.append(Problem(refused.message, path=path, suggestion=refused.suggestion))

    def _do(self, operation: Operation, place: str) -> None:
        match operation:
            case Add():
                self._add(operation, place)
            case Update():
                self._update(operation)
            case Move():
                self._move(operation)
            case Remove():
                self._remove(operation)
            case Link():
                self._link(self._own(operation.item).id, self._resolve(operation.depends_on))
            case Unlink():
                self._unlink(operation)
            case UpdatePlan():
                self._update_plan(operation)

    # Names

    def _resolve(self, reference: str) -> str:
        """Return the id of an item of this plan or of another one."""
        if reference in self._refs:
            return self._refs[reference]
        if reference in self.items or reference in self._others:
            return reference
        if reference in self._by_key:
            return self._by_key[reference]
        plan, _, key = reference.rpartition(":")
        if plan == self.plan.id and key in self._by_key:
            return self._by_key[key]
        found = self._others_by_key.get((plan, key))
        if found is None:
            raise Refused(f"there is no item {reference[:80]!r}", "name it by its key or its id")
        return found

    def _own(self, reference: str) -> Item:
        item_id = self._resolve(reference)
        if item_id not in self.items:
            other = self._others[item_id]
            raise Refused(
                f"{other.key} {other.title!r} is an item of another plan", "change it in its own plan"
            )
        return self.items[item_id]

    # Operations

    def _add(self, operation: Add, place: str) -> None:
        parent = self._own(operation.parent) if operation.parent is not None else None
        kind = child_kind(parent.kind if parent is not None else None)
        if kind is None:
            raise Refused("an atomic item has no parts", "add it beside that one")
        siblings = self._children.setdefault(parent.id if parent is not None else None, [])
        rank = self._rank(siblings, operation.before, operation.after)
        number = self._number(parent, operation.key)
        item = Item(
            id=new_id("item"),
            plan=self.plan.id,
            parent=parent.id if parent is not None else None,
            kind=kind,
            number=number,
            key=self._key(parent, number),
            title="",
            rank=rank,
        )
        if operation.ref is not None:
            if operation.ref in self._refs:
                raise Refused(f"the ref {operation.ref!r} is used twice", "give each `add` a name of its own")
            self._refs[operation.ref] = item.id
        self._put(self._with_fields(item, operation.item))
        self._children[item.parent] = self._sorted([*siblings, item.id])
        for reference in operation.depends_on:
            try:
                self._link(item.id, self._resolve(reference))
            except Refused:
                self._later.append((item.id, reference, f"{place}.depends_on"))  # perhaps it is added later

    def _update(self, operation: Update) -> None:
        item = self._own(operation.item)
        if self._children.get(item.id) and "status" in operation.set.model_fields_set:
            raise Refused(
                f"the status of {item.key} follows from its {len(self._children[item.id])} children",
                "set theirs",
            )
        self._put(self._with_fields(item, operation.set))

    def _move(self, operation: Move) -> None:
        item = self._own(operation.item)
        target = self._target(operation, item)
        if target == item.parent:
            siblings = [other for other in self._children[target] if other != item.id]
            self._put(replace(item, rank=self._rank(siblings, operation.before, operation.after)))
            self._children[target] = self._sorted([*siblings, item.id])
            return
        parent = self.items[target] if target is not None else None
        wanted = child_kind(parent.kind) if parent is not None else "epic"
        if parent is None or wanted != item.kind:
            under = (
                f"{parent.key} is a {parent.kind}" if parent is not None else "only epics stand at the top"
            )
            raise Refused(
                f"{item.key} is a {item.kind}, and {under}",
                f"a {item.kind} belongs under {_above(item.kind)}",
            )
        siblings = self._children.setdefault(target, [])
        rank = self._rank(siblings, operation.before, operation.after)
        number = self._number(parent, None)
        self._children[item.parent].remove(item.id)
        self._rekey(replace(item, parent=target, number=number, rank=rank), parent)
        self._children[target] = self._sorted([*siblings, item.id])

    def _target(self, operation: Move, item: Item) -> str | None:
        if "parent" in operation.model_fields_set and operation.parent is not None:
            return self._own(operation.parent).id
        sibling = operation.before or operation.after
        return self._own(sibling).parent if sibling is not None else item.parent

    def _rekey(self, item: Item, parent: Item | None) -> None:
        """Give an item and everything below it the keys of where it stands now."""
        waiting = [(item, parent)]
        while waiting:
            one, above = waiting.pop()
            self._by_key.pop(self.items[one.id].key, None)
            moved = replace(one, key=self._key(above, one.number))
            self._put(moved)
            waiting.extend((self.items[child], moved) for child in self._children.get(one.id, ()))

    def _remove(self, operation: Remove) -> None:
        item = self._own(operation.item)
        gone = [item.id]
        for inner in gone:  # grows while it is walked
            gone.extend(self._children.get(inner, ()))
        if busy := [self.items[one].key for one in gone if one in self._active]:
            raise Refused(f"a run works on {', '.join(busy[:5])}", "cancel it first, or wait for its end")
        lost = frozenset(gone)
        waiting = [other for other in self._others.values() if lost.intersection(other.depends_on)]
        if waiting:
            names = ", ".join(f"{other.plan}:{other.key}" for other in waiting[:5])
            raise Refused(f"items of other plans wait for it: {names}", "unlink them there first")
        for one in gone:
            self._by_key.pop(self.items.pop(one).key, None)
            self._children.pop(one, None)
        self._children[item.parent].remove(item.id)
        for other in tuple(self.items.values()):
            if lost.intersection(other.depends_on):
                self._put(
                    replace(other, depends_on=tuple(one for one in other.depends_on if one not in lost))
                )

    def _link(self, item_id: str, other_id: str) -> None:
        item = self.items[item_id]
        if other_id in item.depends_on:
            return
        if other_id == item_id:
            raise Refused(f"{item.key} cannot wait for itself")
        if other_id in self.items:
            other = self.items[other_id]
            for above, part in ((other, item), (item, other)):
                if self._is_above(above.id, part):
                    raise Refused(f"{part.key} is a part of {above.key}: neither can wait for the other")
        if len(item.depends_on) >= _MOST_DEPENDENCIES:
            raise Refused(f"{item.key} waits for {_MOST_DEPENDENCIES} items already, which is the most")
        self._put(replace(item, depends_on=(*item.depends_on, other_id)))

    def _unlink(self, operation: Unlink) -> None:
        item, other = self._own(operation.item), self._resolve(operation.depends_on)
        if other not in item.depends_on:
            raise Refused(f"{item.key} does not wait for {operation.depends_on}")
        self._put(replace(item, depends_on=tuple(one for one in item.depends_on if one != other)))

    def _update_plan(self, operation: UpdatePlan) -> None:
        fields = operation.set.model_dump(exclude_unset=True)
        if fields.get("name", "") is None:
            raise Refused("a plan has a name")
        if "description" in fields:
            fields["description"] = fields["description"] or ""
        self.plan = replace(self.plan, **fields)

    # Parts

    def _with_fields(self, item: Item, fields: ItemFields) -> Item:
        given = fields.model_dump(mode="json", exclude_unset=True)
        for name in ("title", "status"):
            if name in given and given[name] is None:
                raise Refused(f"{name} cannot be empty")
        for name, empty in _KEPT_EMPTY.items():
            if name in given and given[name] is None:
                given[name] = empty
        if given.get("estimate") is not None:
            given["estimate"] = {**item.estimate.to_json(), **given["estimate"]}
            if (usd := given["estimate"]["usd"]) is not None:
                given["estimate"]["usd"] = round(float(usd), 9)
        if "acceptance" in given:
            given["acceptance"] = [{"met": False, **criterion} for criterion in given["acceptance"]]
        if "status" in given and given["status"] != item.status and "reason" not in given:
            given["reason"] = None
        return item.with_facts(given)

    def _number(self, parent: Item | None, key: str | None) -> int:
        """Return the number of a new child: the one of `key`, or one that no child has had."""
        kind = parent.kind if parent is not None else None
        taken = {
            self.items[one].number
            for one in self._children.get(parent.id if parent is not None else None, ())
        }
        last = parent.last_child if parent is not None else self.plan.last_child
        if key is not None:
            number = self._number_of_key(parent, key)
            if number in taken:
                raise Refused(f"there is an item {key} already", "leave the key out to get the next free one")
        else:
            number = last + 1
            if number > most_children(kind):
                free = (one for one in range(1, most_children(kind) + 1) if one not in taken)
                number = next(free, 0)
            if not number:
                raise Refused("no number is left for another child", "group the children")
        if number > last:
            if parent is not None:
                self._put(replace(self.items[parent.id], last_child=number))
            else:
                self.plan = replace(self.plan, last_child=number)
        return number

    def _number_of_key(self, parent: Item | None, key: str) -> int:
        numbers = parse_key(key)
        above = parse_key(parent.key) if parent is not None else ()
        if numbers is None or numbers[:-1] != above or make_key(numbers) != key:
            first = self._key(parent, 1)
            raise Refused(
                f"{key[:40]!r} is no key of a child of {parent.key if parent else 'a plan'}",
                f"such as {first}",
            )
        return numbers[-1]

    def _key(self, parent: Item | None, number: int) -> str:
        above = parse_key(parent.key) if parent is not None else ()
        return make_key((*(above or ()), number))

    def _rank(self, siblings: Sequence[str], before: str | None, after: str | None) -> int:
        """Return the rank of an item that comes to stand among its siblings; makes room when there is none."""
        at = len(siblings)
        if before is not None or after is not None:
            sibling = self._own(str(before or after))
            if sibling.id not in siblings:
                raise Refused(f"{sibling.key} is no sibling of the place it goes to")
            at = siblings.index(sibling.id) + (0 if before is not None else 1)
        rank, moved = place_between([self.items[one].rank for one in siblings], at)
        for one, new in zip(siblings, moved, strict=True):
            if self.items[one].rank != new:
                self._put(replace(self.items[one], rank=new))
        return rank

    def _sorted(self, ids: Iterable[str]) -> list[str]:
        return sorted(ids, key=lambda one: (self.items[one].rank, self.items[one].number))

    def _is_above(self, above: str, item: Item) -> bool:
        parent = item.parent
        while parent is not None:
            if parent == above:
                return True
            parent = self.items[parent].parent
        return False

    def _put(self, item: Item) -> None:
        self.items[item.id] = item
        self._by_key[item.key] = item.id

    # Taking back

    def restore(self, wanted: Mapping[str, Item | None]) -> None:
        """Put items as they are given, or away (None); `check_whole` says whether the tree is one.

        Raises:
            Conflict: if a run works on an item that would go.
        """
        for item_id, item in wanted.items():
            if item is not None:
                self.items[item_id] = item
            elif item_id in self._active:
                raise Conflict(
                    f"A run works on {self.items[item_id].key}.", hint="Cancel it first, or wait for its end."
                )
            else:
                self.items.pop(item_id, None)

    def check_whole(self) -> None:
        """Check that every item has its parent, its place and what it waits for.

        Raises:
            Conflict: naming what is missing.
        """
        keys: dict[str, str] = {}
        for item in self.items.values():
            if item.parent is not None and item.parent not in self.items:
                raise Conflict(f"{item.key} {item.title!r} would stand under an item that is gone.")
            if keys.setdefault(item.key, item.id) != item.id:
                raise Conflict(f"There would be two items {item.key}.")
            for other in item.depends_on:
                if other not in self.items and other not in self._others:
                    raise Conflict(f"{item.key} {item.title!r} would wait for an item that is gone.")


def _above(kind: str) -> str:
    names = {
        "feature": "an epic", "story": "a feature", "task": "a story", "subtask": "a task", "atomic": "a subtask",
    }  # fmt: skip
    return names.get(kind, "the plan itself")
