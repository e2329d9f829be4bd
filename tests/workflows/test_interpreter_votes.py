"""Counting votes, with ties."""

import pytest

from mosaic.workflows.interpreter.votes import Ballot, ballot_schema, count

YES_NO = ("approve", "reject")


def ballots(*choices: str) -> list[Ballot]:
    return [Ballot(f"agent{index}", tuple(choice.split(">"))) for index, choice in enumerate(choices)]


@pytest.mark.requirement("MAOS-15")
@pytest.mark.parametrize(
    ("rule", "cast", "decision"),
    [
        ("majority", ["approve", "approve", "reject"], "approve"),
        ("majority", ["approve", "reject"], None),
        ("majority", ["reject", "reject", "approve"], "reject"),
        ("two_thirds", ["approve", "approve", "reject"], "approve"),
        ("two_thirds", ["approve", "approve", "approve", "reject", "reject"], None),
        ("unanimous", ["approve", "approve"], "approve"),
        ("unanimous", ["approve", "approve", "reject"], None),
    ],
)
def test_a_rule_decides_or_leaves_it_open(rule: str, cast: list[str], decision: str | None) -> None:
    assert count(rule, ballots(*cast), choices=YES_NO, weights={}).decision == decision


def test_a_weighted_vote_counts_weight_and_not_heads() -> None:
    counted = count(
        "weighted",
        ballots("approve", "reject", "reject"),
        choices=YES_NO,
        weights={"agent0": 3, "agent1": 1, "agent2": 1},
    )
    assert counted.decision == "approve"
    assert counted.tally == {"approve": 3, "reject": 2}


def test_half_of_the_weight_is_not_more_than_half() -> None:
    counted = count(
        "weighted", ballots("approve", "reject"), choices=YES_NO, weights={"agent0": 2, "agent1": 2}
    )
    assert counted.decision is None


def test_a_run_off_gives_the_votes_of_the_last_to_their_next_choice() -> None:
    counted = count(
        "ranked", ballots("a>b>c", "a>c>b", "b>a>c", "b>c>a", "c>b>a"), choices=("a", "b", "c"), weights={}
    )
    assert counted.decision == "b"
    assert counted.tally == {"a": 2, "b": 3, "c": 0}


def test_a_run_off_drops_all_that_share_the_last_place_whatever_their_order() -> None:
    votes = ballots("a", "a", "b>a", "c>d", "d>c")
    for choices in (("a", "b", "c", "d"), ("d", "c", "b", "a")):
        assert count("ranked", votes, choices=choices, weights={}).decision == "a"


def test_a_run_off_between_equals_has_no_winner() -> None:
    assert count("ranked", ballots("a>b", "b>a"), choices=("a", "b"), weights={}).decision is None


def test_a_run_off_with_exhausted_rankings_counts_those_that_still_say_something() -> None:
    counted = count("ranked", ballots("a", "a", "b", "b", "c>a"), choices=("a", "b", "c"), weights={})
    assert counted.decision == "a"


def test_nobody_voting_decides_nothing() -> None:
    for rule in ("majority", "two_thirds", "unanimous", "weighted", "ranked"):
        assert count(rule, [], choices=YES_NO, weights={}).decision is None


def test_the_ballot_asks_for_one_choice_or_a_ranking() -> None:
    assert ballot_schema(YES_NO, ranked=False)["required"] == ["choice"]
    assert ballot_schema(YES_NO, ranked=True)["properties"]["ranking"]["items"]["enum"] == list(YES_NO)
