"""A step says for which kind of task its agent works, and the agent which models it has for that."""

import pytest

from tests.workflows.bench import Bench
from tests.workflows.test_interpreter_actions import SCRIPT

pytestmark = pytest.mark.anyio


async def test_a_step_says_for_which_kind_of_task_an_agent_chooses_its_model(bench: Bench) -> None:
    other = SCRIPT.replace("You said", "In review you said")
    models = "{default: ['scripted:script.yaml'], review: ['scripted:review.yaml']}"
    text = f"""
agents: {{talker: {{model: {models}, instructions: Talk.}}}}
do:
  - plain: {{agent: talker, with: hello}}
  - reviewed: {{agent: talker, with: hello, task_kind: review}}
outputs: {{plain: "${{plain}}", reviewed: "${{reviewed}}"}}
"""
    outputs = await bench.run(bench.define(text, script__yaml=SCRIPT, review__yaml=other))
    assert outputs == {"plain": "You said: hello", "reviewed": "In review you said: hello"}
