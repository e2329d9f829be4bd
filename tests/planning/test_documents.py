"""Plans as YAML: every problem at its place, and what is written is read back."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic.core.context import Context
from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonObject
from mosaic.planning import Plans, read_operations
from mosaic.planning.documents import read_plan, write_plan
from mosaic.planning.yaml_text import to_yaml
from mosaic.workflows.language.document import read_document
from mosaic.workflows.language.nodes import plain
from tests.architecture.sources import ROOT
from tests.planning.conftest import A, D, change, small

EXAMPLE = Path(ROOT) / "examples" / "plans" / "checkout.yaml"

WRONG = """plan: Wrong
colour: red
epics:
  - title: One
    key: E.1
    features:
      - title: Two
        estimate: {hours: -1}
        stories:
          - title: Three
            status: ready
            tasks:
              - Four
              - {title: Five, depends_on: [T.001.01.01.01], assignee: coder}
              - 6
              - title: [Seven]
"""


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidInput) as refused:
        read_plan(text, "plan.yaml")
    return [str(problem) for problem in refused.value.problems]


def test_every_problem_is_told_with_file_line_and_column() -> None:
    found = problems(WRONG)
    places = [line.split(": ")[0] for line in found]
    assert places == [
        "plan.yaml:2:1", "plan.yaml:5:10", "plan.yaml:8:27", "plan.yaml:11:21", "plan.yaml:14:71", "plan.yaml:15:17",
        "plan.yaml:16:24",
    ]  # fmt: skip
    assert "There is no field `colour` here." in found[0]
    assert "such as E.001" in found[1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "plan.yaml:1:1: A plan is a mapping"),
        ("- a\n", "plan.yaml:1:1: A plan is a mapping"),
        ("plan: x\nepics: 3\n", "plan.yaml:2:8: `epics` is a list"),
        ("plan: ''\n", "plan.yaml:1:7: The plan needs a name."),
        ("epics: []\n", "plan.yaml:1:1: The plan needs a name."),
        (
            "plan: x\nepics:\n  - {title: a, stories: []}\n",
            "plan.yaml:3:16: There is no field `stories` here.",
        ),
        (
            "plan: x\nepics:\n  - {title: a, key: F.001.01}\n",
            "plan.yaml:3:5: 'F.001.01' is no key of a child",
        ),
        (
            "plan: x\nepics:\n  - {title: a, key: E.002}\n  - {title: b, key: E.002}\n",
            "plan.yaml:4:5: There is an item E.002",
        ),
        (
            "plan: x\nepics:\n  - {title: a, depends_on: [E.009]}\n",
            "plan.yaml:3:28: There is no item 'E.009'.",
        ),
        (
            "plan: x\nepics:\n  - {title: a, depends_on: [E.002]}\n  - {title: b, depends_on: E.001}\n",
            "in a circle: E.00",
        ),
        (
            f"plan: x\nepics:\n  - {{title: sk-{'ant-'}{'x' * 20}}}\n",
            "plan.yaml:3:13: This looks like a secret.",
        ),
        ('plan: x\nepics:\n  - {title: "a\\0b"}\n', "plan.yaml:3:13: This text holds a zero byte."),
        ("plan: x\nepics: [*nobody]\n", "names no anchor before it"),
        ("plan: &a [*a]\n", "stands inside itself"),
        ("plan: x\n---\nplan: y\n", "second document"),
        ("plan: !!python/object:os.system x\n", "YAML tags"),
        ("plan: [x\n", "This is not YAML"),
    ],
)
def test_hostile_and_wrong_files_are_refused_with_a_reason(text: str, expected: str) -> None:
    assert any(expected in line for line in problems(text)), problems(text)


def test_a_bomb_of_aliases_is_not_unfolded() -> None:
    text = "plan: x\nl0: &l0 [a, a, a, a, a, a, a, a, a]\n" + "".join(
        f"l{level}: &l{level} [{', '.join([f'*l{level - 1}'] * 9)}]\n" for level in range(1, 12)
    )
    assert any("more than 150000 values" in line for line in problems(text))


def test_a_task_may_be_its_title_and_a_dependency_may_come_before_what_it_names() -> None:
    made = read_plan(
        "plan: x\nepics:\n  - title: a\n    depends_on: E.002\n    features: [b, c]\n  - title: d\n    acceptance: [e, {text: f, met: true}]\n"
    )
    shown = made.to_json()["operations"]
    assert [one["item"]["title"] for one in shown] == ["a", "b", "c", "d"]
    assert shown[3]["item"]["acceptance"] == [{"text": "e"}, {"text": "f", "met": True}]
    read_operations(shown)


@pytest.mark.anyio
@pytest.mark.requirement("STK-88", "STK-95")
async def test_the_example_is_a_plan_that_survives_being_written_and_read(plans: Plans, ctx: Context) -> None:
    file = read_plan(EXAMPLE.read_text(), "checkout.yaml")
    made = await plans.create(ctx, name=file.name, description=file.description, operations=file.operations)
    kinds = [item.kind for item in made.tree.in_order()]
    assert (kinds.count("epic"), kinds.count("feature"), kinds.count("task")) == (3, 7, 56)
    epic = made.item_json(made.find("E.001"))
    assert (epic["assignee"], epic["phase"], epic["target_version"], epic["priority"]) == (
        "person:ana", "build", "3.0.0", 1,
    )  # fmt: skip
    assert epic["brief"]["metrics"] == [
        {"name": "Orders per visit to the checkout", "target": "50 %", "current": "38 %"}
    ]
    text = write_plan(made)
    again = read_plan(text, "again.yaml")
    copy = await plans.create(
        ctx, name=again.name, description=again.description, operations=again.operations
    )
    assert write_plan(copy) == text
    assert [_said(made, item) for item in made.tree.in_order()] == [
        _said(copy, item) for item in copy.tree.in_order()
    ]
    assert (await plans.picture(ctx, copy.plan.id)).schedule.total_hours == made.schedule.total_hours == 98.0


def _said(picture: object, item: object) -> JsonObject:
    facts = item.facts()  # type: ignore[attr-defined]
    items = picture.tree.items  # type: ignore[attr-defined]
    waits = [items[other].key for other in facts.pop("depends_on")]
    return {name: value for name, value in facts.items() if name not in ("parent", "rank")} | {"waits": waits}


@pytest.mark.anyio
async def test_a_dependency_on_another_plan_is_written_by_name_and_read_back(
    plans: Plans, ctx: Context
) -> None:
    here, there = await small(plans, ctx), await small(plans, ctx)
    name = f"{there.plan.id}:{D}"
    await change(plans, ctx, here.plan.id, {"op": "link", "item": A, "depends_on": name})
    text = write_plan(await plans.picture(ctx, here.plan.id))
    assert f'- "{name}"' in text
    file = read_plan(text)
    copy = await plans.create(ctx, name="Copy", operations=file.operations)
    assert copy.tree.items[copy.find(A)].depends_on == (there.find(D),)


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60).filter(lambda text: "\0" not in text)
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(_TEXT, _VALUES, min_size=1, max_size=5))
def test_any_value_that_is_written_is_read_back(value: JsonObject) -> None:
    text = to_yaml(value)
    document = read_document(text.encode(), "x.yaml")
    assert document.problems == []
    assert document.root is not None
    assert plain(document.root) == value, text
