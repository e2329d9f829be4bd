"""What the protocol's compatibility kit is pointed at: MosAIc's door for agents, open to everybody, with the kit's skills.

The kit (a2aproject/a2a-tck, branch 1.0-dev) sends no key and tells by a message's id what it wants to see. So this server
takes every caller for the owner, and chooses the workflow by that id; everything else is the product.

    python -m tests.a2a.sut --port 9777
    python run_tck.py --sut-host http://127.0.0.1:9777 --transport jsonrpc --level must
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

import uvicorn
from a2a.types import Message

from mosaic.a2a.door import A2aDoor
from mosaic.a2a.opening import answering
from mosaic.a2a.skills import chosen
from tests.app.site import Site, open_site, settings_of

_INPUT = "inputs: {type: object, properties: {goal: {type: string}}}\n"
_SKILLS = {
    "tck-artifact-text": "do:\n  - ready: {set: {done: true}}\noutputs: {text: Generated text content}\n",
    "tck-artifact-data": "do:\n  - ready: {set: {done: true}}\noutputs: {key: value, count: 42}\n",
    "tck-artifact-file-url": "do:\n  - ready: {set: {done: true}}\noutputs: {file: {url: 'https://example.com/output.txt', filename: output.txt, mediaType: text/plain}}\n",
    "tck-artifact-file": "do:\n  - ready: {set: {done: true}}\noutputs: {file: {base64: aGVsbG8=, filename: output.txt, mediaType: text/plain}}\n",
    "tck-input-required": "do:\n  - sure: {ask: {question: Go on?}}\n",
    "test-resubscribe-message-id": "do:\n  - later: {wait: 12s}\n",
    "tck": "do:\n  - say: {set: {said: Hello from TCK}}\noutputs: {said: '${say.said}'}\n",
}


def _by_id(message: Message, known: list, default: str | None) -> object:
    for prefix in _SKILLS:
        if message.message_id.startswith(prefix):
            message.metadata["skill"] = prefix
            break
    return chosen(message, known, default)


async def _known(site: Site) -> None:
    for name, text in _SKILLS.items():
        run = await site.start(name, _INPUT + text)
        if name in ("tck-input-required", "test-resubscribe-message-id"):
            await site.client.cancel(run["id"])
        await site.finish(run["id"])


async def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9777)
    port = parser.parse_args().port
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        url = f"http://127.0.0.1:{port}"
        settings = settings_of(home, f"sqlite:///{folder}/mosaic.db", a2a={"skill": "tck", "public_url": url})
        async with open_site(settings, Path(folder)) as site:
            await _known(site)

            async def owner(_headers: object) -> object:
                return site.ctx

            door = A2aDoor(
                owner, lambda: answering(site.application, choose=_by_id), max_body_bytes=1_000_000
            )  # type: ignore[arg-type]
            print(f"the system under test answers at {url}", flush=True)  # noqa: T201
            config = uvicorn.Config(door, host="127.0.0.1", port=port, lifespan="off", log_level="warning")
            await uvicorn.Server(config).serve()


if __name__ == "__main__":
    asyncio.run(main())
