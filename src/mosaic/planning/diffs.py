"""What differs between two states of a plan, and how to go back."""

from collections.abc import Iterable, Mapping

from mosaic.core.errors import Conflict
from mosaic.core.values import JsonObject
from mosaic.planning.schemas import FieldChange, Item, ItemChange, Plan

__all__ = ["diff_of", "reversed_states"]


def diff_of(
    before: tuple[Plan, Mapping[str, Item]], after: tuple[Plan, Mapping[str, Item]]
) -> tuple[ItemChange, ...]:
    """Return what differs: the plan first, then items in the order of their keys."""
    changes = []
    if fields := _changed(before[0].facts(), after[0].facts()):
        changes.append(ItemChange(None, "", "plan", after[0].name, "changed", fields))
    old, new = before[1], after[1]
    found = []
    for item_id in {**old, **new}:
        was, becomes = old.get(item_id), new.get(item_id)
        if was is not becomes and (change := _change(was, becomes)) is not None:
            found.append(change)
    return (*changes, *sorted(found, key=lambda change: change.key.split(".")[1:]))


def _change(was: Item | None, becomes: Item | None) -> ItemChange | None:
    fields = _changed(was.facts() if was else {}, becomes.facts() if becomes else {})
    shown = becomes or was
    if not fields or shown is None:
        return None
    change = "added" if was is None else "removed" if becomes is None else "changed"
    return ItemChange(shown.id, shown.key, shown.kind, shown.title, change, fields)


def _changed(before: JsonObject, after: JsonObject) -> dict[str, FieldChange]:
    return {
        name: FieldChange(before.get(name), after.get(name))
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    }


def reversed_states(
    plan: Plan, items: Mapping[str, Item], diff: Iterable[ItemChange]
) -> tuple[JsonObject, dict[str, Item | None]]:
    """Return what takes a diff back: fields of the plan, and items as they were (None for those it added).

    Raises:
        Conflict: if something that the diff touched has changed again since; it is named.
    """
    fields: JsonObject = {}
    states: dict[str, Item | None] = {}
    for change in diff:
        if change.item is None:
            _require_same(plan.facts(), change, "the plan")
            fields = {name: one.before for name, one in change.fields.items()}
            continue
        present = items.get(change.item)
        if change.change == "removed":
            if present is not None:
                raise Conflict(f"{change.key} {change.title!r} is there again already.")
            blank = Item(change.item, plan.id, None, change.kind, 0, change.key, change.title, 0)
            states[change.item] = blank.with_facts({name: one.before for name, one in change.fields.items()})
            continue
        if present is None:
            raise Conflict(
                f"{change.key} {change.title!r} has been removed since.", hint="Take that change back first."
            )
        _require_same(present.facts(), change, f"{change.key} {change.title!r}")
        if change.change == "added":
            states[change.item] = None
        else:
            states[change.item] = present.with_facts(
                {name: one.before for name, one in change.fields.items()}
            )
    return fields, states


def _require_same(facts: JsonObject, change: ItemChange, what: str) -> None:
    for name, one in change.fields.items():
        if facts.get(name) != one.after:
            raise Conflict(
                f"{what} has changed again since: {name}.",
                hint="Take the later change back first, or change it by hand.",
                item=change.item,
                field=name,
            )
