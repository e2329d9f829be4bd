"""What do plugins cost: loading one, swapping one, handing one out, and how many calls fail while they are swapped?

Nothing but this machine is asked: the plugins are folders as `mosaic plugins new` writes them, and their vendor is an
HTTP endpoint on loopback. Load times are medians of fresh processes: `libraries` is what plugins share and any of them
loads once (HTTP client, YAML, JSON Schema), `find` looks for plugins, `first` and `second` import, check and make one.

    python benchmarks/plugin_reload.py [--reloads 100] [--callers 32] [--rounds 5] [--check]

`--check` exits with status 1 unless finding, loading and reloading a plugin each take under 100 ms of the processor (a
machine that others use too has no honest wall clock), and no call failed.
"""

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mosaic.core.redaction import Redactor
from mosaic.providers import Message, ModelRequest, ProviderRegistry
from mosaic.providers.testing import json_reply, running_endpoint, scaffold

LIMIT_MS = 100.0
LOAD = """
import json, sys
from time import perf_counter, process_time
from pathlib import Path
from mosaic.core.redaction import Redactor
from mosaic.providers import ProviderRegistry
T = lambda: (perf_counter() * 1000, process_time() * 1000)
begun = T()
import httpx2, jsonschema, ruamel.yaml
started = T()
registry = ProviderRegistry(redactor=Redactor(), environment={}, plugins=[], directory=Path(sys.argv[1]))
found = T()
registry.ai("acme")
cold = T()
registry.ai("second")
warm = T()
print(json.dumps([[y - x for x, y in zip(a, b)] for a, b in ((begun, started), (started, found), (found, cold), (cold, warm))]))
"""
INSTALLED = """
import json
from time import perf_counter, process_time
from mosaic.core.redaction import Redactor
from mosaic.providers import ProviderRegistry
T = lambda: (perf_counter() * 1000, process_time() * 1000)
begun = T()
import httpx2, jsonschema, ruamel.yaml
started = T()
registry = ProviderRegistry(redactor=Redactor(), environment={})
found = T()
registry.ai("openai")
cold = T()
registry.ai("anthropic")
warm = T()
print(json.dumps([[y - x for x, y in zip(a, b)] for a, b in ((begun, started), (started, found), (found, cold), (cold, warm))]))
"""


def load_times(code: str, *arguments: str, rounds: int) -> list[tuple[float, float]]:
    """Milliseconds (wall, processor) of libraries, finding, a first and a second plugin; medians of fresh processes."""
    measured = []
    for _ in range(rounds):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, timeout=60
        )
        measured.append(json.loads(done.stdout))
    return [
        (statistics.median(wall for wall, _ in column), statistics.median(cpu for _, cpu in column))
        for column in zip(*measured, strict=True)
    ]


def lease_cost_ns(registry: ProviderRegistry, count: int = 200_000) -> float:
    lease = registry.lease
    started = time.process_time_ns()
    for _ in range(count):
        with lease("acme"):
            pass
    return (time.process_time_ns() - started) / count


def write_version(directory: Path, number: int) -> None:
    path = directory / "acme" / "provider.py"
    text = path.read_text()
    line = next((line for line in text.splitlines() if line.startswith("NUMBER")), None)
    body = text.replace(line, f"NUMBER = {number}") if line else f"{text}\n\nNUMBER = {number}\n"
    path.write_text(body)


def memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def under_load(directory: Path, *, reloads: int, callers: int) -> dict[str, float]:
    answer = {"text": "Hello, world.", "usage": {"input": 11, "output": 7}}
    async with running_endpoint() as endpoint:
        endpoint.will(json_reply(answer))
        settings = {"acme": {"base_url": endpoint.url, "api_key": "benchmark-key-0123456789"}}
        registry = ProviderRegistry(
            redactor=Redactor(), environment={}, plugins=[], directory=directory, settings=settings
        )
        request = ModelRequest("small-1", (Message.of("user", "Say hello."),), timeout_s=30)
        done, answered, failed, latencies = asyncio.Event(), 0, [], []

        async def caller() -> None:
            nonlocal answered
            while not done.is_set():
                started = time.perf_counter()
                try:
                    with registry.lease("acme") as provider:
                        await provider.complete(request, idempotency_key="k")
                    answered += 1
                except Exception as error:  # noqa: BLE001  # whatever it is, it counts
                    failed.append(f"{type(error).__name__}: {error}")
                latencies.append((time.perf_counter() - started) * 1000)

        cost_ns = lease_cost_ns(registry)
        tasks = [asyncio.create_task(caller()) for _ in range(callers)]
        took, unfinished, before = [], 0, memory_mb()
        for number in range(reloads):
            write_version(directory, number)
            old = registry.lease("acme").get()
            started = time.perf_counter()
            report = await registry.reload(wait=False)
            took.append((time.perf_counter() - started) * 1000)
            assert report.changed == ("acme",)
            assert registry.lease("acme").get() is not old
            unfinished += report.unfinished
            endpoint.requests.clear()
        done.set()
        await asyncio.gather(*tasks)
        await registry.reload()
        await registry.close()
    for text in sorted(set(failed))[:5]:
        print(f"  failed: {text}", file=sys.stderr)
    latencies.sort()
    return {
        "answered": answered,
        "failed": len(failed),
        "reload_p50_ms": statistics.median(took),
        "reload_max_ms": max(took),
        "call_p50_ms": latencies[len(latencies) // 2],
        "call_p99_ms": latencies[len(latencies) * 99 // 100],
        "lease_ns": cost_ns,
        "memory_mb": memory_mb() - before,
    }


async def quiet_reload_ms(directory: Path, rounds: int = 30) -> tuple[float, float]:
    registry = ProviderRegistry(redactor=Redactor(), environment={}, plugins=[], directory=directory)
    registry.ai("acme")
    took = []
    for number in range(rounds):
        write_version(directory, 1_000 + number)
        started, spent = time.perf_counter(), time.process_time()
        await registry.reload()
        took.append(((time.perf_counter() - started) * 1000, (time.process_time() - spent) * 1000))
    await registry.close()
    return statistics.median(wall for wall, _ in took), statistics.median(cpu for _, cpu in took)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reloads", type=int, default=100)
    parser.add_argument("--callers", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        for name in ("acme", "second"):
            scaffold(name, kind="ai", directory=directory)
        folders = load_times(LOAD, folder, rounds=options.rounds)
        packages = load_times(INSTALLED, rounds=options.rounds)
        quiet = asyncio.run(quiet_reload_ms(directory))
        loaded = asyncio.run(under_load(directory, reloads=options.reloads, callers=options.callers))
    print("wall / processor ms     libraries          find         first        second")
    for name, times in (("a folder", folders), ("a package", packages)):
        print(f"{name:<16}" + "".join(f"{wall:>8.1f} /{cpu:>6.1f}" for wall, cpu in times))
    print(f"reload, idle     {quiet[0]:.1f} / {quiet[1]:.1f} ms")
    print(
        f"reload, {options.callers} callers {loaded['reload_p50_ms']:.1f} ms median, {loaded['reload_max_ms']:.1f} ms at most"
    )
    print(f"lease            {loaded['lease_ns']:.0f} ns")
    print(
        f"{options.reloads} reloads under load: {loaded['answered']:,} calls answered, {loaded['failed']} failed; "
        f"a call took {loaded['call_p50_ms']:.1f} ms, p99 {loaded['call_p99_ms']:.1f} ms; memory +{loaded['memory_mb']:.1f} MB"
    )
    if not options.check:
        return 0
    loads = [cpu for times in (folders, packages) for _, cpu in times[1:]]
    right = max(loads) < LIMIT_MS and quiet[1] < LIMIT_MS and not loaded["failed"]
    print("check:", "passed" if right else "FAILED")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
