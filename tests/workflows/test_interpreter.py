"""Definitions executed by the real engine, on both databases: blocks, scopes, control words, failures."""

import pytest

from mosaic.core.errors import StepFailed
from tests.workflows.bench import Bench

pytestmark = pytest.mark.anyio


async def failing(bench: Bench, text: str) -> StepFailed:
    """Run a workflow that fails and return its error."""
    await bench.start(bench.define(text))
    error = (await bench.result()).error
    assert isinstance(error, StepFailed), error
    return error


def reason_code(error: StepFailed) -> str:
    return str(error.data["reason"]["code"])


async def test_steps_run_in_order_and_see_what_came_before(bench: Bench) -> None:
    outputs = await bench.steps(
        """
inputs: {type: object, properties: {name: {type: string, default: Ada}}}
do:
  - hello: {set: "Hello ${inputs.name}"}
  - note: {tool: note, with: {text: "${hello}!"}}
  - skipped: {if: "hello == 'x'", set: 1}
  - last: {set: {text: "${note}", skipped: "${skipped}", id: "${run.workflow}"}}
outputs: {all: "${last}"}
"""
    )
    assert outputs == {"all": {"text": "Hello Ada!", "skipped": None, "id": "test"}}
    assert bench.notes() == ["Hello Ada!"]
    assert await bench.paths("step.completed") == ["hello", "note", "last"]
    assert await bench.paths("step.skipped") == ["skipped"]


async def test_without_outputs_the_result_is_that_of_the_last_step_that_ran(bench: Bench) -> None:
    assert await bench.steps("do:\n  - a: {set: 1}\n  - b: {if: 'a > 1', set: 2}\n") == {"result": 1}


async def test_a_failed_step_fails_the_run_and_says_where(bench: Bench) -> None:
    error = await failing(
        bench, "do:\n  - outer: {do: [{a: {set: 1}}, {b: {tool: refuse, with: {why: not today}}}]}\n"
    )
    assert error.data["step"] == "outer/b"
    assert error.data["reason"]["code"] == "invalid_input"
    assert "not today" in error.message
    assert await bench.paths("step.failed") == ["outer/b", "outer"]


# Branches


async def test_a_fork_gives_the_outputs_of_its_branches(bench: Bench) -> None:
    outputs = await bench.steps(
        """
do:
  - base: {set: 10}
  - both:
      fork:
        left: {set: "${base + 1}"}
        right: {needs: [left], set: "${left + base}"}
outputs: {both: "${both}"}
"""
    )
    assert outputs == {"both": {"left": 11, "right": 21}}


async def test_the_first_failure_of_a_fork_cancels_the_rest(bench: Bench) -> None:
    bench.shut("slow")
    error = await failing(
        bench,
        """
do:
  - both:
      fork:
        slow: {do: [{wait_here: {tool: gate, with: {name: slow}}}, {after: {tool: note, with: {text: after}}}]}
        bad:
          do:
            - seen: {tool: gate, with: {name: seen}}
            - fail: {tool: refuse, with: {why: no}}
""",
    )
    assert error.data["step"] == "both/bad/fail"
    assert bench.notes() == ["refused no"]
    assert await bench.paths("step.cancelled") == ["both/slow", "both/slow/wait_here"]


async def test_any_takes_the_first_success_and_stops_the_others(bench: Bench) -> None:
    bench.shut("slow")
    outputs = await bench.steps(
        """
do:
  - race:
      fork:
        bad: {tool: refuse, with: {why: no}}
        slow: {tool: gate, with: {name: slow}}
        quick: {set: done}
      join: any
outputs: {race: "${race}"}
"""
    )
    assert outputs == {"race": {"bad": None, "slow": None, "quick": "done"}}


async def test_a_quorum_that_cannot_be_reached_fails_with_the_reasons(bench: Bench) -> None:
    bench.shut("slow")
    error = await failing(
        bench,
        """
do:
  - race:
      fork:
        a: {tool: refuse, with: {why: not a}}
        b: {tool: refuse, with: {why: not b}}
        slow: {tool: gate, with: {name: slow}}
      join: {quorum: 2}
""",
    )
    reason = error.data["reason"]
    assert sorted(reason["data"]["failures"]) == ["a", "b"]
    assert "not a" in error.message
    assert "not b" in error.message


async def test_a_for_goes_through_its_items_and_keeps_their_order(bench: Bench) -> None:
    outputs = await bench.steps(
        """
do:
  - all:
      for: {each: item, in: [1, 2, 3, 4, 5], index: place, parallel: 3}
      do:
        - twice: {set: "${item * 2 + place}"}
  - named:
      for: {each: pair, in: {b: 2, a: 1}}
      do: [{text: {set: "${pair.key}=${pair.value}"}}]
outputs: {all: "${all}", named: "${named}"}
"""
    )
    assert outputs == {"all": [2, 5, 8, 11, 14], "named": ["a=1", "b=2"]}
    paths = await bench.paths("step.completed")
    assert {"all[0]/twice", "all[4]/twice", "named[1]/text"} <= set(paths)


async def test_a_map_over_a_graph_runs_each_item_after_what_it_needs(bench: Bench) -> None:
    outputs = await bench.steps(
        """
inputs: {type: object, properties: {tasks: {type: array, items: {type: object}}}}
do:
  - build:
      for: {each: task, in: "${inputs.tasks}", needs: "${task.needs}", parallel: 4}
      do:
        - done: {tool: note, with: {text: "${task.id}"}}
        - path: {set: {id: "${task.id}", after: "${needed}"}}
outputs: {build: "${build}"}
""",
        {
            "tasks": [
                {"id": "ship", "needs": ["test", "docs"]},
                {"id": "docs", "needs": []},
                {"id": "test", "needs": ["code"]},
                {"id": "code", "needs": None},
            ]
        },
    )
    order = bench.notes()
    assert order.index("code") < order.index("test") < order.index("ship")
    assert order.index("docs") < order.index("ship")
    ship = outputs["build"][0]
    assert sorted(ship["after"]) == ["docs", "test"]
    assert ship["after"]["test"]["after"]["code"]["id"] == "code"


async def test_a_cycle_that_shows_only_at_run_time_is_named_before_anything_starts(bench: Bench) -> None:
    text = """
inputs: {type: object, properties: {tasks: {type: array, items: {type: object}}}}
do:
  - build:
      for: {each: task, in: "${inputs.tasks}", needs: "${task.needs}", parallel: 4}
      do: [{done: {tool: note, with: {text: "${task.id}"}}}]
"""
    tasks = [{"id": "a", "needs": ["b"]}, {"id": "b", "needs": ["a"]}, {"id": "c", "needs": []}]
    await bench.start(bench.define(text), {"tasks": tasks})
    error = (await bench.result()).error
    assert error is not None
    assert "a -> b -> a" in error.message or "b -> a -> b" in error.message
    assert bench.notes() == []


async def test_the_first_item_that_fails_stops_the_others(bench: Bench) -> None:
    bench.shut("slow")
    error = await failing(
        bench,
        """
do:
  - all:
      for: {each: item, in: [slow, bad, later], parallel: 2}
      do:
        - wait_here: {if: "item == 'slow'", tool: gate, with: {name: slow}}
        - fail: {if: "item == 'bad'", tool: refuse, with: {why: no}}
        - note: {tool: note, with: {text: "${item}"}}
""",
    )
    assert error.data["step"] == "all[1]/fail"
    assert bench.notes() == ["refused no"]


async def test_the_concurrency_limit_holds_over_all_branches(bench: Bench) -> None:
    text = """
limits: {concurrency: 2}
do:
  - all:
      for: {each: item, in: [a, b, c, d], parallel: 4}
      do: [{go: {tool: gate, with: {name: "${item}"}}}]
"""
    for name in "abcd":
        bench.shut(name)
    await bench.start(bench.define(text))
    await bench.reached("a")
    await bench.reached("b")
    bench.open("a")
    await bench.reached("c")
    assert not (bench.work / "reached-d").exists()
    for name in "bcd":
        bench.open(name)
    assert (await bench.result()).output == {"outputs": {"result": ["a", "b", "c", "d"]}}


# Choices and loops


async def test_a_switch_takes_the_first_case_that_is_true(bench: Bench) -> None:
    text = """
inputs: {type: object, properties: {n: {type: integer}}}
do:
  - pick:
      switch:
        - {when: "inputs.n > 10", do: [{big: {set: big}}]}
        - {when: "inputs.n > 5", do: [{middle: {set: middle}}]}
        - default: [{small: {set: small}}]
"""
    for run, (n, wanted) in enumerate([(11, "big"), (6, "middle"), (1, "small")]):
        assert await bench.run(bench.define(text), {"n": n}, run_id=f"run_{run}") == {"result": wanted}
    paths = await bench.paths("step.completed")
    assert "pick/case1/middle" in paths
    assert "pick/default/small" in paths


async def test_a_switch_may_say_that_no_case_is_a_failure(bench: Bench) -> None:
    error = await failing(
        bench, "do:\n  - pick: {switch: [{when: 'false', do: [{a: {set: 1}}]}, {default: fail}]}\n"
    )
    assert error.data["step"] == "pick"


async def test_a_while_loop_sees_its_last_iteration_and_stops_at_its_bound(bench: Bench) -> None:
    outputs = await bench.steps(
        """
do:
  - draft: {set: 1}
  - refine:
      while: "draft < 100"
      max: 3
      do:
        - draft: {set: "${draft * 2 + iteration}"}
  - never: {while: "draft > 100", do: [{x: {set: 1}}]}
outputs: {refine: "${refine}", draft: "${draft}", never: "${never}"}
"""
    )
    # 1 -> 2 -> 5 -> 12, then the bound; the draft outside is another one.
    assert outputs == {"refine": 12, "draft": 1, "never": None}
    assert "refine(2)/draft" in await bench.paths("step.completed")


async def test_a_loop_may_fail_when_it_never_gets_there(bench: Bench) -> None:
    error = await failing(
        bench, "do:\n  - again: {while: 'true', max: 2, on_max: fail, do: [{a: {set: 1}}]}\n"
    )
    assert error.data["reason"]["code"] == "limit_exceeded"


# Failures


async def test_a_caught_failure_counts_as_done_with_the_clauses_result(bench: Bench) -> None:
    outputs = await bench.steps(
        """
do:
  - risky:
      tool: refuse
      with: {why: no}
      catch:
        - {on: timed_out, do: [{a: {set: wrong clause}}]}
        - {on: invalid_input, as: problem, if: "problem.step == 'risky'", do: [{b: {set: "${problem.message}"}}]}
  - after: {set: "got: ${risky}"}
outputs: {after: "${after}"}
"""
    )
    assert outputs == {"after": "got: no"}
    caught = (await bench.events("step.caught"))[0]
    assert (caught.data["clause"], caught.data["then"], caught.data["code"]) == (
        1,
        "continue",
        "invalid_input",
    )
    assert "risky/catch1/b" in await bench.paths("step.completed")


async def test_a_clause_may_retry_a_few_times(bench: Bench) -> None:
    outputs = await bench.steps(
        """
do:
  - risky:
      tool: flaky
      with: {name: it, failures: 2}
      retry: 1
      catch:
        - {on: unavailable, do: [{told: {tool: note, with: {text: "again: ${error.message}"}}}], then: retry, max: 3}
"""
    )
    assert outputs == {"result": "it after 3"}
    assert bench.notes() == ["try it", "again: it is away", "try it", "again: it is away", "try it"]
    retrying = await bench.events("step.retrying")
    assert [(event.data["by"], event.data["attempt"], event.data["max"]) for event in retrying] == [
        ("catch", 1, 3),
        ("catch", 2, 3),
    ]


async def test_a_retry_of_a_block_goes_on_where_it_failed(bench: Bench) -> None:
    outputs = await bench.steps(
        """
do:
  - work:
      do:
        - first: {tool: note, with: {text: first}}
        - sides:
            fork:
              good: {tool: note, with: {text: good}}
              bad: {tool: flaky, with: {name: it, failures: 1}, retry: 1}
        - last: {set: "${sides.bad}"}
      catch: [{on: any, then: retry, max: 2}]
"""
    )
    assert outputs == {"result": "it after 2"}
    assert sorted(bench.notes()) == ["first", "good", "try it", "try it"]


async def test_a_retry_of_a_try_block_does_all_of_it_again_after_undoing_it(bench: Bench) -> None:
    outputs = await bench.steps(
        """
do:
  - trip:
      try:
        - book: {tool: note, with: {text: book}, compensate: [{undo: {tool: note, with: {text: "undo ${book}"}}}]}
        - pay: {tool: flaky, with: {name: pay, failures: 1}, retry: 1}
      catch: [{on: unavailable, then: retry}]
      finally: [{end: {tool: note, with: {text: end}}}]
"""
    )
    assert outputs == {"result": "pay after 2"}
    assert bench.notes() == ["book", "try pay", "undo book", "book", "try pay", "end"]


async def test_finally_runs_after_the_clause_and_also_when_the_failure_stands(bench: Bench) -> None:
    error = await failing(
        bench,
        """
do:
  - one:
      try: [{a: {tool: refuse, with: {why: first}}}]
      catch: [{on: any, do: [{c: {tool: note, with: {text: caught}}}]}]
      finally: [{f: {tool: note, with: {text: finally one}}}]
  - two:
      try: [{a: {tool: refuse, with: {why: second}}}]
      catch: [{on: timed_out}]
      finally: [{f: {tool: note, with: {text: finally two}}}]
""",
    )
    assert bench.notes() == ["refused first", "caught", "finally one", "refused second", "finally two"]
    assert error.data["step"] == "two/a"


async def test_a_saga_undoes_what_was_finished_in_reverse_order_before_the_clause(bench: Bench) -> None:
    outputs = await bench.steps(
        """
inputs: {type: object, properties: {who: {type: string, default: Ada}}}
do:
  - trip:
      try:
        - hotel:
            tool: note
            with: {text: "hotel for ${inputs.who}"}
            compensate: [{undo: {tool: note, with: {text: "cancel ${hotel}"}}}]
        - rides:
            for: {each: leg, in: [out, back]}
            do:
              - ride:
                  tool: note
                  with: {text: "ride ${leg}"}
                  compensate: [{undo: {tool: note, with: {text: "cancel ${leg}: ${error.code}"}}}]
        - pay: {tool: refuse, with: {why: no money}}
      catch: [{on: invalid_input, do: [{told: {tool: note, with: {text: told}}}, {out: {set: stayed home}}]}]
"""
    )
    assert outputs == {"result": "stayed home"}
    assert bench.notes() == [
        "hotel for Ada",
        "ride out",
        "ride back",
        "refused no money",
        "cancel back: invalid_input",
        "cancel out: invalid_input",
        "cancel hotel for Ada",
        "told",
    ]
    assert await bench.paths("step.compensated") == ["trip/rides[1]/ride", "trip/rides[0]/ride", "trip/hotel"]


async def test_a_run_that_fails_undoes_what_no_try_had_in_its_care(bench: Bench) -> None:
    error = await failing(
        bench,
        """
do:
  - a: {tool: note, with: {text: a}, compensate: [{undo: {tool: note, with: {text: undo a}}}]}
  - b: {tool: note, with: {text: b}, compensate: [{undo: {tool: refuse, with: {why: cannot}}}]}
  - c: {tool: refuse, with: {why: no}}
catch: [{on: any, do: [{told: {tool: note, with: {text: told}}}]}]
""",
    )
    assert bench.notes() == ["a", "b", "refused no", "refused cannot", "undo a", "told"]
    failures = error.data["reason"]["data"]["compensation_failures"]
    assert [failure["step"] for failure in failures] == ["b"]


async def test_the_runs_own_clause_may_end_it_well(bench: Bench) -> None:
    outputs = await bench.steps(
        """
do:
  - a: {set: 1}
  - b: {tool: refuse, with: {why: no}}
  - c: {set: 3}
catch: [{on: invalid_input, then: end}]
outputs: {a: "${a}", b: "${b}", c: "${c}"}
"""
    )
    assert outputs == {"a": 1, "b": None, "c": None}


async def test_the_runs_own_clause_may_have_the_failed_step_run_again(bench: Bench) -> None:
    outputs = await bench.steps(
        """
do:
  - a: {tool: note, with: {text: a}, compensate: [{undo: {tool: note, with: {text: undo a}}}]}
  - b: {do: [{x: {tool: note, with: {text: x}}}, {y: {tool: flaky, with: {name: y, failures: 1}, retry: 1}}]}
catch: [{on: unavailable, do: [{told: {tool: note, with: {text: told}}}], then: retry, max: 2}]
"""
    )
    assert outputs == {"result": "y after 2"}
    assert bench.notes() == ["a", "x", "try y", "told", "try y"]


async def test_a_jump_back_gives_feedback_and_is_bounded(bench: Bench) -> None:
    error = await failing(
        bench,
        """
do:
  - before: {tool: note, with: {text: before}}
  - code: {tool: note, with: {text: "code ${feedback == null ? 'first' : feedback.message}"}}
  - check:
      validate: [{expect: "value == 'never'", message: not yet}]
      on_fail: {goto: code, max: 2}
""",
    )
    assert error.data["reason"]["code"] == "contract_violation"
    assert error.data["step"] == "check~3"
    notes = bench.notes()
    assert len(notes) == 4
    assert notes[:2] == ["before", "code first"]
    assert all("not yet" in note for note in notes[2:])
    assert await bench.paths("step.started") == [
        "before",
        "code",
        "check",
        "code~2",
        "check~2",
        "code~3",
        "check~3",
    ]


async def test_all_further_tries_come_out_of_one_budget(bench: Bench) -> None:
    error = await failing(
        bench,
        """
limits: {retries: 3}
do:
  - code: {tool: flaky, with: {name: it, failures: 2}, retry: {attempts: 3, delay: 1ms}}
  - check:
      validate: [{expect: "false"}]
      on_fail: {goto: code, max: 10}
""",
    )
    # Two retries of the tool, one jump: that is all there is.
    assert error.data["reason"]["data"]["retries"] == "budget_empty"
    assert len(await bench.events("step.retrying")) == 1
    assert len(await bench.events("retry")) == 2


async def test_a_step_that_takes_too_long_is_stopped(bench: Bench) -> None:
    error = await failing(bench, "do:\n  - block: {timeout: 300ms, do: [{h: {tool: hang, timeout: 60s}}]}\n")
    assert error.data["reason"]["code"] == "timed_out"
    assert error.data["step"] == "block"
    assert await bench.paths("step.cancelled") == ["block/h"]


async def test_a_run_that_takes_too_long_is_stopped_and_may_say_so(bench: Bench) -> None:
    error = await failing(
        bench,
        """
limits: {duration: 400ms}
do:
  - a: {tool: hang, timeout: 60s}
catch: [{on: timed_out, do: [{told: {tool: note, with: {text: "${error.code}"}}}]}]
""",
    )
    assert error.data["reason"]["code"] == "timed_out"
    assert bench.notes() == ["timed_out"]


async def test_an_output_must_meet_its_schema(bench: Bench) -> None:
    error = await failing(bench, "do:\n  - a: {set: text, output: {type: integer}}\n")
    assert error.data["reason"]["code"] == "contract_violation"


async def test_an_expression_that_fails_names_its_place(bench: Bench) -> None:
    error = await failing(bench, "do:\n  - a: {set: {x: [1]}}\n  - b: {set: '${a.x[5]}'}\n")
    assert error.data["reason"]["code"] == "expression_failed"
    assert "workflow.yaml:" in error.message


async def test_outputs_that_cannot_be_computed_fail_the_run_like_a_step(bench: Bench) -> None:
    error = await failing(
        bench,
        """
do:
  - a: {tool: note, with: {text: a}, compensate: [{undo: {tool: note, with: {text: undo a}}}]}
  - b: {set: {x: [1]}}
outputs: {b: "${b.x[7]}"}
""",
    )
    assert reason_code(error) == "expression_failed"
    assert bench.notes() == ["a", "undo a"]


async def test_a_clause_whose_condition_fails_fails_the_step_with_that(bench: Bench) -> None:
    error = await failing(
        bench,
        """
do:
  - block:
      do:
        - a: {tool: refuse, with: {why: no}, catch: [{on: any, if: "error.data.nothing.here == 1"}]}
      catch: [{on: timed_out}]
""",
    )
    assert reason_code(error) == "expression_failed"
    assert error.data["step"] == "block/a"


async def test_a_block_that_is_run_again_keeps_what_was_settled_inside(bench: Bench) -> None:
    outputs = await bench.steps(
        """
do:
  - block:
      do:
        - soft: {tool: refuse, with: {why: soft}, catch: [{on: any, do: [{s: {tool: note, with: {text: soft}}}]}]}
        - n: {set: "${feedback == null ? 1 : 2}"}
        - check: {validate: [{expect: "value == 2"}], on_fail: {goto: n, max: 1}}
        - hard: {tool: flaky, with: {name: it, failures: 2}, retry: 1}
      catch: [{on: unavailable, then: retry, max: 5}]
outputs: {block: "${block}"}
"""
    )
    assert outputs == {"block": "it after 3"}
    assert bench.notes() == ["refused soft", "soft", "try it", "try it", "try it"]
    started = await bench.paths("step.started")
    assert started.count("block/check") == 1
    assert started.count("block/check~2") == 1
