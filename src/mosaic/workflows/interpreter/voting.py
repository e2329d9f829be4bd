"""The `vote` step: agents decide together."""

from dataclasses import replace

from mosaic.agents import AgentLimits
from mosaic.core.errors import BudgetExceeded, Cancelled, Fenced, MosaicError, StepFailed
from mosaic.core.values import JsonObject, JsonValue
from mosaic.events import NewEvent
from mosaic.workflows.interpreter.agents import Assignment, as_text, converse, prompt_of, tried_again
from mosaic.workflows.interpreter.branches import Branches
from mosaic.workflows.interpreter.frame import Here
from mosaic.workflows.interpreter.paths import child, tag, tried
from mosaic.workflows.interpreter.votes import Ballot, ballot_schema, count
from mosaic.workflows.steps import VoteStep

__all__ = ["run_vote"]


async def run_vote(step: VoteStep, here: Here) -> JsonValue:
    """Ask every agent, each without seeing the others' votes, and count."""
    ranked = step.rule == "ranked"
    schema = ballot_schema(step.choices, ranked=ranked)
    question = as_text(prompt_of(step, here))
    how = "Rank the choices, best first" if ranked else "Choose one"
    prompt = f"{question}\n\nVote. {how}: {', '.join(step.choices)}."

    async def cast(agent: str) -> Ballot | None:
        spec = replace(here.run.definition.agents[agent].spec, output_schema=schema, handoffs=())
        work = Assignment(prompt, {agent: spec}, {}, AgentLimits())

        async def attempt(number: int) -> JsonValue:
            base = tried(child(here.path, agent), tag(here.number, number))
            return await converse(here, work, agent, base, turns=1, first_path=base)

        try:
            vote = await tried_again(step, here, f"try/{agent}", attempt)
        except (BudgetExceeded, Cancelled, Fenced):
            raise
        except MosaicError as error:
            await _journal_vote(here, agent, {"error": error.to_json()})
            return None
        await _journal_vote(here, agent, vote if isinstance(vote, dict) else {})
        return _ballot(agent, vote)

    voters: Branches[Ballot | None] = Branches(step.agents, {}, cast, parallel=len(step.agents))
    votes = (await voters.finish()).results
    ballots = [ballot for agent in step.agents if (ballot := votes[agent]) is not None]
    if len(ballots) < step.quorum:
        raise StepFailed(
            f"{len(ballots)} of the {len(step.agents)} agents of {here.path!r} cast a vote; {step.quorum} must.",
            step=here.path,
        )
    counted = count(step.rule, ballots, choices=step.choices, weights=step.weights)
    return {
        "decision": counted.decision,
        "passed": counted.decision is not None,
        "votes": [_shown(ballot, ranked=ranked) for ballot in ballots],
        "tally": counted.tally,
    }


def _ballot(agent: str, vote: JsonValue) -> Ballot:
    shown = vote if isinstance(vote, dict) else {}
    ranking = shown.get("ranking") or [shown.get("choice")]
    return Ballot(agent, tuple(str(choice) for choice in ranking), str(shown.get("reason", "")))


def _shown(ballot: Ballot, *, ranked: bool) -> JsonObject:
    vote: JsonObject = {"ranking": list(ballot.ranking)} if ranked else {"choice": ballot.ranking[0]}
    return {"agent": ballot.agent, **vote, "reason": ballot.reason}


async def _journal_vote(here: Here, agent: str, vote: JsonObject) -> None:
    path = child(here.path, agent)
    event = NewEvent("vote.cast", {"agent": agent, **vote}, path=path)
    await here.run.at(path).emit(event, name=tag(here.number) or None)
