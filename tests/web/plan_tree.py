"""A plan for the board's tests."""

from mosaic.core.values import JsonObject

__all__ = ["operations"]

STORIES = ("Cart", "Payments", "Receipts")
STEPS = ("Design", "Implement", "Review")


def operations(stories: int = 3, tasks: int = 3) -> list[JsonObject]:
    """Operations for one epic and feature with stories, whose tasks follow each other."""
    made: list[JsonObject] = [
        {"op": "add", "ref": "e", "item": {"title": "Checkout rewrite"}},
        {"op": "add", "ref": "f", "parent": "e", "item": {"title": "Shop"}},
    ]
    for number in range(stories):
        name = STORIES[number] if number < len(STORIES) else f"Story {number}"
        made.append({"op": "add", "ref": f"s{number}", "parent": "f", "item": {"title": name}})
        for step in range(tasks):
            verb = STEPS[step] if step < len(STEPS) else f"Step {step} of"
            item = {
                "title": f"{verb} {name.lower()}",
                "estimate": {"hours": 2 + step, "usd": 1.5},
                "assignee": f"agent:{('ada', 'grace', 'linus')[step % 3]}",
            }
            waits = [f"t{number}-{step - 1}"] if step else []
            made.append(
                {
                    "op": "add",
                    "ref": f"t{number}-{step}",
                    "parent": f"s{number}",
                    "item": item,
                    "depends_on": waits,
                }
            )
    return made
