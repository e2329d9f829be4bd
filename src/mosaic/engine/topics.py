"""The engine's topics on the bus."""

__all__ = ["CANCELLATIONS", "NODES", "SCHEDULES", "execution_topic", "signal_topic"]

CANCELLATIONS = "cancellations"
NODES = "nodes"
SCHEDULES = "schedules"


def execution_topic(execution_id: str) -> str:
    """Return the topic of an execution's end."""
    return f"execution:{execution_id}"


def signal_topic(tenant: str, run_id: str) -> str:
    """Return the topic of a run's signals."""
    return f"signal:{tenant}:{run_id}"
