"""Another agent is told how its tasks go on: at its own address, with its own token, whatever happens to us."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import pytest
from a2a.types import (
    DeleteTaskPushNotificationConfigRequest,
    GetTaskPushNotificationConfigRequest,
    ListTaskPushNotificationConfigsRequest,
    TaskPushNotificationConfig,
)
from a2a.utils.errors import A2AError

from mosaic.app.owner import owner_token
from mosaic.core.clock import now
from mosaic.outbound import key_of, verify
from tests.a2a.test_tasks import ASKS, connected, known, message, told
from tests.app.site import WAIT_S, Site, database, open_site, settings_of

pytestmark = pytest.mark.anyio

SIGNING = "whsec_" + "c2VjcmV0LXRoYXQtaXMtbG9uZy1lbm91Z2gtdG8tc2lnbg=="


class Receiver:
    """An HTTP server that takes notifications."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.told: list[tuple[dict[str, str], bytes]] = []
        self.url = ""
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = (
            f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/told?secret=s3cr3t-in-the-url"
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
        }
        body = await reader.readexactly(int(headers["content-length"]))
        status = self.answers.pop(0) if self.answers else 200
        self.told.append((headers, body))
        writer.write(f"HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()
        self._changed.set()

    async def until(self, state: str) -> tuple[dict[str, str], bytes]:
        """Wait until a state is told, and return how."""
        async with asyncio.timeout(WAIT_S):
            while True:
                for headers, body in self.told:
                    if json.loads(body)["task"]["status"]["state"] == state:
                        return headers, body
                self._changed.clear()
                await self._changed.wait()


def site_settings(tmp_path: Path, url: str) -> Any:
    allowed = {"allow_private_hosts": ["127.0.0.1"]}
    return settings_of(tmp_path / "home", url, a2a={"wait_s": 20}, tools=allowed)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_an_address_is_told_of_its_task_across_a_restart_until_it_ends(
    request: pytest.FixtureRequest, kind: str, tmp_path: Path, receiver: Receiver
) -> None:
    with database(request, kind, tmp_path) as url:
        settings = site_settings(tmp_path, url)
        async with open_site(settings, tmp_path, http=True) as site:
            await known(site, "asks", ASKS)
            async with connected(site, owner_token(settings.home)) as agent:
                config = TaskPushNotificationConfig(id="mine", url=receiver.url, token="the-client's-own")
                answers = await told(
                    agent,
                    message(skill="asks", data={"inputs": {}}),
                    task_push_notification_config=config,
                )
                task_id = answers[0].task.id
                headers, _ = await receiver.until("TASK_STATE_INPUT_REQUIRED")
                assert headers["x-a2a-notification-token"] == "the-client's-own"
                # A second one, signed.
                signed = TaskPushNotificationConfig(task_id=task_id, url=receiver.url, token=SIGNING)
                await agent.create_task_push_notification_config(signed)
        receiver.told.clear()
        async with open_site(settings, tmp_path, http=True) as site:
            async with connected(site, owner_token(settings.home)) as agent:
                await told(agent, message(task_id=task_id, number=2, data={"approve": True}))
                headers, body = await receiver.until("TASK_STATE_COMPLETED")
                found = await agent.list_task_push_notification_configs(
                    ListTaskPushNotificationConfigsRequest(task_id=task_id)
                )
                assert len(found.configs) == 2
            shown = json.loads(body)["task"]
            assert (shown["id"], shown["artifacts"][0]["name"]) == (task_id, "by")
            async with asyncio.timeout(WAIT_S):
                while not any("webhook-signature" in headers for headers, _ in receiver.told):
                    receiver._changed.clear()
                    await receiver._changed.wait()
            headers, body = next(one for one in receiver.told if "webhook-signature" in one[0])
            assert "x-a2a-notification-token" not in headers
            assert verify(key_of(SIGNING, name="it"), headers, body, moment=now(), tolerance_s=300)
            for event in await site.events(task_id):
                assert "the-client's-own" not in json.dumps(event)
                assert "s3cr3t-in-the-url" not in json.dumps(event)


@pytest.fixture
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    with database(request, "sqlite", tmp_path) as url:
        async with open_site(site_settings(tmp_path, url), tmp_path, http=True) as site:
            await known(site, "asks", ASKS)
            yield site


async def test_configurations_are_made_read_replaced_and_deleted_and_show_no_secret(
    site: Site, receiver: Receiver
) -> None:
    async with connected(site, owner_token(site.application.settings.home)) as agent:
        task = (await told(agent, message(skill="asks", data={"inputs": {}})))[0].task
        wanted = TaskPushNotificationConfig(task_id=task.id, id="one", url=receiver.url, token="t0ken-value")
        wanted.authentication.scheme = "Bearer"
        wanted.authentication.credentials = "cr3dentials"
        made = await agent.create_task_push_notification_config(wanted)
        assert (made.id, made.url, made.token) == ("one", receiver.url, "")
        assert (made.authentication.scheme, made.authentication.credentials) == ("Bearer", "")
        headers, _ = await receiver.until("TASK_STATE_INPUT_REQUIRED")
        assert (headers["authorization"], headers["x-a2a-notification-token"]) == (
            "Bearer cr3dentials",
            "t0ken-value",
        )
        async with Receiver() as other:
            moved = TaskPushNotificationConfig(task_id=task.id, id="one", url=other.url)
            await agent.create_task_push_notification_config(moved)
            await other.until("TASK_STATE_INPUT_REQUIRED")
            got = await agent.get_task_push_notification_config(
                GetTaskPushNotificationConfigRequest(task_id=task.id, id="one")
            )
            assert got.url == other.url
            gone = DeleteTaskPushNotificationConfigRequest(task_id=task.id, id="one")
            for _ in range(2):  # again is no error
                await agent.delete_task_push_notification_config(gone)
            with pytest.raises(A2AError, match="no address"):
                await agent.get_task_push_notification_config(
                    GetTaskPushNotificationConfigRequest(task_id=task.id, id="one")
                )
            third = await agent.create_task_push_notification_config(
                TaskPushNotificationConfig(task_id=task.id, url=receiver.url)
            )
            assert third.id
            receiver.told.clear()
            before = len(other.told)
            await told(agent, message(task_id=task.id, number=2, data={"approve": True}))
            await receiver.until("TASK_STATE_COMPLETED")
            assert len(other.told) == before


REFUSED = [
    ({"url": "http://169.254.169.254/latest"}, "not a public address"),
    ({"url": "http://[::1]:80/"}, "not a public address"),
    ({"url": "file:///etc/passwd"}, "http and https"),
    ({"url": "http://me:secret@example.com/"}, "no user or password"),
    ({"url": "https://example.com/", "token": "a\r\nx: y"}, "printable ASCII"),
    ({"url": "https://example.com/", "token": "whsec_short"}, "no webhook secret"),
]


async def test_an_address_that_must_not_be_told_is_refused_before_anything_is_started(site: Site) -> None:
    async def runs() -> list[Any]:
        return list((await site.client.runs(status=None, workflow=None, limit=50, cursor=None))["items"])

    before = await runs()
    async with connected(site, owner_token(site.application.settings.home)) as agent:
        for config, says in REFUSED:
            with pytest.raises(A2AError, match=says):
                await told(
                    agent,
                    message(skill="asks", data={"inputs": {}}),
                    task_push_notification_config=TaskPushNotificationConfig(**config),
                )
    assert await runs() == before


async def test_what_fails_is_tried_again_and_then_noted_without_the_address(
    site: Site, receiver: Receiver
) -> None:
    async with connected(site, owner_token(site.application.settings.home)) as agent:
        task = (await told(agent, message(skill="asks", data={"inputs": {}})))[0].task
        await site.asked(task.id)
        receiver.answers = [400]
        await agent.create_task_push_notification_config(
            TaskPushNotificationConfig(task_id=task.id, url=receiver.url)
        )
        noted = await site.happened(task.id, "notice.failed")
        assert noted["data"] == {"host": "127.0.0.1", "error": "it answered 400"}
        await told(agent, message(task_id=task.id, number=2, data={"approve": True}))
        await receiver.until("TASK_STATE_COMPLETED")
