"""Plans by their names, and the options that the commands on plans share."""

import click

from mosaic.cli.client import Client
from mosaic.core.errors import InvalidInput, NotFound
from mosaic.core.values import JsonObject

__all__ = ["dry_option", "json_option", "note_option", "plan_id"]

json_option = click.option("--json", "json_output", is_flag=True, help="JSON on stdout.")
dry_option = click.option("--dry-run", is_flag=True, help="Show the diff and what it means; write nothing.")
note_option = click.option("--note", default="", help="Why, for the history.")


async def plan_id(client: Client, name: str) -> str:
    """Return the id of the plan that is named by its id or its name.

    Raises:
        NotFound: if there is none.
        InvalidInput: if the name is of several.
    """
    if name.startswith("plan_"):
        return name
    found: list[JsonObject] = []
    cursor: str | None = None
    while True:
        page = await client.plans(limit=100, cursor=cursor)
        found += [plan for plan in page["items"] if plan["name"].lower() == name.lower()]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    if not found:
        raise NotFound(f"There is no plan {name!r}.", hint="`mosaic plan list` shows the plans there are.")
    if len(found) > 1:
        ids = ", ".join(plan["id"] for plan in found)
        raise InvalidInput(f"{len(found)} plans are called {name!r}: {ids}.", hint="Name one by its id.")
    return str(found[0]["id"])
