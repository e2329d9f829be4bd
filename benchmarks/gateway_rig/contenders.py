"""The gateways that are compared, each started with its own means in front of the canned model."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gateway_rig.processes import CannotStart, free_port, running

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
KEY = "sk-bench-0123456789"
MODEL = "gpt-4o-mini"
LITELLM = "litellm[proxy]==1.108.7"
PORTKEY = "@portkey-ai/gateway"
PORTKEY_PACKAGE = {
    "private": True,
    "dependencies": {PORTKEY: "1.15.2"},
    # With a later one, which its range allows, each of its streams ends in "TypeError: immutable".
    "overrides": {"@hono/node-server": "1.13.8"},
}


@dataclass(frozen=True)
class Running:
    """A contender that answers: where, what its clients send, and the root of its processes (None: the model itself)."""

    port: int
    pid: int | None
    headers: dict[str, str] = field(default_factory=dict)
    model: str = MODEL


def cache_folder(name: str) -> Path:
    """Where a throwaway environment is kept between runs."""
    return Path(tempfile.gettempdir()) / f"mosaic-bench-{name}"


def install(*commands: list[str]) -> None:
    """Run the commands that make an environment.

    Raises:
        CannotStart: if one fails.
    """
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CannotStart(str(error)) from error
        if done.returncode:
            raise CannotStart(f"it cannot be installed: {done.stderr.strip()[-300:]}")


def find_uv() -> str:
    sys.path.insert(0, str(ROOT / ".ci"))
    try:
        from environment import find_uv as found
    finally:
        sys.path.pop(0)
    return str(found())


@contextlib.contextmanager
def direct(upstream: int, _scratch: Path) -> Iterator[Running]:
    """The canned model itself."""
    yield Running(upstream, None)


NGINX = """
daemon off; master_process on; worker_processes 1; pid {scratch}/nginx.pid; error_log {scratch}/nginx.err;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 100000000;
    client_body_temp_path {scratch}; proxy_temp_path {scratch}; fastcgi_temp_path {scratch};
    uwsgi_temp_path {scratch}; scgi_temp_path {scratch};
    upstream model {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
        }}
    }}
}}
"""


@contextlib.contextmanager
def nginx(upstream: int, scratch: Path) -> Iterator[Running]:
    """A reverse proxy that decides nothing."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if binary is None:
        raise CannotStart("nginx is not installed (Debian, Ubuntu: apt-get install nginx)")
    port, config = free_port(), scratch / "nginx.conf"
    config.write_text(NGINX.format(scratch=scratch, upstream=upstream, port=port))
    command = [binary, "-p", str(scratch), "-c", str(config), "-e", str(scratch / "nginx.err")]
    with running(command, port=port, log=scratch / "nginx.log") as pid:
        yield Running(port, pid)


@contextlib.contextmanager
def litellm(upstream: int, scratch: Path) -> Iterator[Running]:
    """LiteLLM's proxy with a master key and no database."""
    home = cache_folder("litellm")
    binary = home / "bin" / "litellm"
    if not binary.exists():
        uv = find_uv()
        python = str(home / "bin" / "python")
        install(
            [uv, "venv", "-q", "--clear", "--python", sys.executable, str(home)],
            [uv, "pip", "install", "-q", "--python", python, LITELLM],
        )
    port, config = free_port(), scratch / "litellm.json"
    parameters = {"model": f"openai/{MODEL}", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": KEY}
    settings = {
        "model_list": [{"model_name": MODEL, "litellm_params": parameters}],
        "general_settings": {"master_key": KEY},
        "litellm_settings": {"telemetry": False},
    }
    config.write_text(json.dumps(settings))  # JSON is YAML
    command = [
        str(binary),
        "--config",
        str(config),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--num_workers",
        "1",
    ]
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_TELEMETRY": "False"}
    environment = {**quiet, "PATH": f"{home / 'bin'}:{os.environ['PATH']}"}
    with running(command, port=port, log=scratch / "litellm.log", env=environment) as pid:
        yield Running(port, pid, {"authorization": f"Bearer {KEY}"})


@contextlib.contextmanager
def portkey(upstream: int, scratch: Path) -> Iterator[Running]:
    """Portkey's gateway on Node."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise CannotStart("Node.js is not installed")
    home = cache_folder("portkey")
    script = home / "node_modules" / PORTKEY / "build" / "start-server.js"
    if not script.exists():
        home.mkdir(exist_ok=True)
        (home / "package.json").write_text(json.dumps(PORTKEY_PACKAGE))
        install([npm, "install", "--prefix", str(home), "--no-audit", "--no-fund", "--silent"])
    port = free_port()
    environment = {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}
    command = [node, str(script), "--headless", f"--port={port}"]
    with running(command, port=port, log=scratch / "portkey.log", env=environment) as pid:
        headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": f"http://127.0.0.1:{upstream}/v1"}
        yield Running(port, pid, {**headers, "authorization": f"Bearer {KEY}"})
