"""An agent of another installation, on the protocol's own server library, for tests that give it tasks."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentSkill,
    Message,
    Part,
    Role,
    Task,
    TaskState,
    TaskStatus,
)
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Value
from starlette.routing import Router

WAIT_S = 60.0


class Elsewhere(AgentExecutor):
    """Works by the words it is given: `ask` first, `fail`, `data`, `chat`; else it echoes.

    Attributes:
        taken: the messages it took.
        cancelled: the tasks that it was told to give up.
        held: it works until `go` is set.
        mute: it takes messages and never answers.
        headers: of the requests.
    """

    def __init__(self) -> None:
        self.url = ""
        self.taken: list[Message] = []
        self.cancelled: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.cards = 0
        self.go = asyncio.Event()
        self.held = False
        self.mute = False
        self.was_cancelled = asyncio.Event()
        self.card = AgentCard()

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.message is not None
        self.taken.append(context.message)
        words = context.get_user_input()
        if words.startswith("chat"):
            await event_queue.enqueue_event(
                Message(message_id="m", role=Role.ROLE_AGENT, parts=[Part(text="Hi.")])
            )
            return
        task_id, context_id = context.task_id or "", context.context_id or ""
        if context.current_task is None:
            status = TaskStatus(state=TaskState.TASK_STATE_SUBMITTED)
            await event_queue.enqueue_event(Task(id=task_id, context_id=context_id, status=status))
        updater = TaskUpdater(event_queue, task_id, context_id)
        await updater.start_work()
        if self.held:
            await self.go.wait()
        if words.startswith("ask"):
            await updater.requires_input(updater.new_agent_message([Part(text="Which branch?")]))
            return
        if words.startswith("fail"):
            await updater.failed(updater.new_agent_message([Part(text="I cannot.")]))
            return
        part = (
            Part(data=ParseDict({"score": 7}, Value()))
            if words.startswith("data")
            else Part(text=f"Done: {words}")
        )
        await updater.add_artifact([part], name="answer")
        await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        self.cancelled.append(context.task_id or "")
        self.was_cancelled.set()
        await TaskUpdater(event_queue, context.task_id or "", context.context_id or "").cancel()

    @property
    def said(self) -> list[str]:
        return ["".join(part.text for part in message.parts) for message in self.taken]

    def metadata(self, index: int = 0) -> Any:
        return MessageToDict(self.taken[index].metadata)


class _Quiet(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


@asynccontextmanager
async def elsewhere(*, streaming: bool = True) -> AsyncIterator[Elsewhere]:
    """Serve such an agent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        agent = Elsewhere()
        agent.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        agent.card = card = AgentCard(
            name="elsewhere", description="An agent.", version="1",
            supported_interfaces=[
                AgentInterface(url=f"{agent.url}/rpc", protocol_binding="JSONRPC", protocol_version="1.0")
            ],
            capabilities=AgentCapabilities(streaming=streaming),
            default_input_modes=["text/plain"], default_output_modes=["text/plain"],
            skills=[AgentSkill(id="echo", name="echo", description="Echoes.", tags=["echo"])],
        )  # fmt: skip
        handler = DefaultRequestHandler(agent, InMemoryTaskStore(), card)
        router = Router(routes=[*create_jsonrpc_routes(handler, "/rpc"), *create_agent_card_routes(card)])

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                agent.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
                agent.cards += scope["path"].startswith("/.well-known/")
                if agent.mute and scope["path"] == "/rpc":
                    request = await receive()
                    agent.taken.append(Message(message_id=request["body"].decode()))
                    await asyncio.Event().wait()
            await router(scope, receive, send)

        config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
        server = _Quiet(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield agent
        finally:
            agent.go.set()
            server.should_exit = True
            async with asyncio.timeout(WAIT_S):
                await serving
