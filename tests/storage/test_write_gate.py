"""Writers of one process take turns: in order, and nobody who left keeps the others waiting."""

import asyncio
import threading

import pytest

from mosaic.storage.write_gate import WriteGate

pytestmark = pytest.mark.anyio


async def test_turns_come_in_the_order_of_asking() -> None:
    gate, order = WriteGate(), []
    assert await gate.acquire(1)

    async def take(number: int) -> None:
        assert await gate.acquire(10)
        order.append(number)
        gate.release()

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(take(number))
        await asyncio.sleep(0)
        gate.release()
    assert order == list(range(10))


async def test_who_waits_too_long_is_told_and_leaves_the_line() -> None:
    gate = WriteGate()
    assert await gate.acquire(1)
    assert not await gate.acquire(0.01)
    assert not await asyncio.to_thread(gate.acquire_blocking, 0.01)
    gate.release()
    assert await gate.acquire(1)


async def test_a_long_line_that_moves_is_no_reason_to_give_up() -> None:
    gate = WriteGate()
    assert await gate.acquire(1)

    async def hold(seconds: float) -> bool:
        if not await gate.acquire(1.0):
            return False
        await asyncio.sleep(seconds)
        gate.release()
        return True

    async with asyncio.timeout(20):
        line = [asyncio.create_task(hold(0.12)) for _ in range(10)]  # longer than anyone waits for one holder
        thread = asyncio.create_task(asyncio.to_thread(gate.acquire_blocking, 1.0))
        await asyncio.sleep(0)
        gate.release()
        assert await asyncio.gather(*line, thread) == [True] * 11


async def test_a_cancelled_waiter_passes_on_a_turn_that_had_just_come() -> None:
    gate = WriteGate()
    assert await gate.acquire(1)
    leaving = asyncio.create_task(gate.acquire(10))
    staying = asyncio.create_task(gate.acquire(10))
    await asyncio.sleep(0)
    gate.release()  # the turn goes to `leaving`, which does not know it yet
    leaving.cancel()
    async with asyncio.timeout(10):
        assert await staying
        with pytest.raises(asyncio.CancelledError):
            await leaving


async def test_a_waiter_whose_loop_has_ended_is_passed_over() -> None:
    gate = WriteGate()
    assert await gate.acquire(1)

    def wait_and_vanish() -> None:
        loop = asyncio.new_event_loop()
        task = loop.create_task(gate.acquire(10))
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(asyncio.sleep(0))
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # that it is pending is the point
        loop.close()

    await asyncio.to_thread(wait_and_vanish)
    waiting = asyncio.create_task(gate.acquire(10))
    await asyncio.sleep(0)
    gate.release()
    async with asyncio.timeout(10):
        assert await waiting


async def test_threads_and_event_loops_share_one_line() -> None:
    gate, inside, most = WriteGate(), 0, 0
    lock = threading.Lock()

    def enter() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)

    def leave() -> None:
        nonlocal inside
        with lock:
            inside -= 1

    def in_thread() -> None:
        for _ in range(200):
            assert gate.acquire_blocking(30)
            enter()
            leave()
            gate.release()

    async def in_loop() -> None:
        for _ in range(200):
            assert await gate.acquire(30)
            enter()
            await asyncio.sleep(0)
            leave()
            gate.release()

    async with asyncio.timeout(60):
        await asyncio.gather(asyncio.to_thread(in_thread), asyncio.to_thread(in_thread), in_loop(), in_loop())
    assert most == 1
