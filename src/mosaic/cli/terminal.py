"""A person at the terminal: their lines, and the signals that end a command."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

__all__ = ["Interrupts", "interrupts", "is_interactive", "read_line"]

_MOST_BYTES = 65_536


def is_interactive(*, allowed: bool) -> bool:
    """Say whether there is somebody to ask."""
    return allowed and sys.stdin.isatty() and sys.stderr.isatty()


async def read_line(text: str) -> str:
    """Ask for a line without stopping the event loop: the run goes on in this process.

    Not in a thread: a thread that waits for a line cannot be told to stop, and Ctrl-C would wait for it.

    Raises:
        click.Abort: at the end of the input (Ctrl-D).
    """
    sys.stderr.write(text)
    sys.stderr.flush()
    loop, descriptor = asyncio.get_running_loop(), sys.stdin.fileno()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(descriptor, wake)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)
    line = os.read(descriptor, _MOST_BYTES)
    if not line:
        raise click.Abort
    return line.decode(sys.stdin.encoding or "utf-8", "replace").rstrip("\r\n")


class Interrupts:
    """Which signal asked the command to end."""

    def __init__(self) -> None:
        self.number: int = signal.SIGINT

    @property
    def status(self) -> int:
        """The exit status that tells it: 130 for Ctrl-C, 143 for a termination."""
        return 128 + self.number


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Have a termination, or the end of the terminal, cancel this task as Ctrl-C does: what has begun is recorded."""
    loop, task, found = asyncio.get_running_loop(), asyncio.current_task(), Interrupts()

    def end(number: int) -> None:
        found.number = number
        if task is not None:
            task.cancel()

    numbers = (signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, end, number)
    try:
        yield found
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
