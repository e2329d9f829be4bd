"""The sections of the settings: what each part of an installation can be told, with its bounds."""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

__all__ = [
    "ApprovalsSection",
    "CacheSection",
    "CostSection",
    "EngineSection",
    "GatewaySection",
    "InferenceSection",
    "LimitsSection",
    "LogsSection",
    "McpOAuthSection",
    "McpSection",
    "McpServerSection",
    "PoolSection",
    "PriceSection",
    "ProviderSection",
    "QuotaSection",
    "QuotasSection",
    "RetrySection",
    "SandboxSection",
    "SecretName",
    "Section",
    "ServerSection",
    "StorageSection",
    "ToolViewSection",
    "ToolsSection",
    "WebhookSection",
]


def _listed(value: Any) -> Any:
    """Take ``a, b`` for a list: that is what a variable can hold."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.startswith("["):
        try:
            return json.loads(text)
        except ValueError:
            return value
    return [item.strip() for item in text.split(",") if item.strip()]


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Usd = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A part of the settings; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSection(Section):
    """Where `mosaic up` listens."""

    host: str = Field("127.0.0.1", min_length=1, description="Beyond loopback needs MOSAIC_OWNER_TOKEN.")
    port: int = Field(8420, ge=0, le=65535, description="0 picks a free one.")
    allowed_hosts: Names = Field((), description="Extra Host header names that are accepted.")
    max_body_bytes: int = Field(
        8_000_000, ge=1_000, le=1_000_000_000, description="The largest request body."
    )


class StorageSection(Section):
    """Which database."""

    url: str | None = Field(None, description="PostgreSQL URL without a password, or empty for SQLite.")
    synchronous: Literal["FULL", "NORMAL"] = "FULL"
    busy_timeout_ms: int = Field(
        5_000, ge=0, le=600_000, description="How long SQLite waits for another writer."
    )
    pool_size: int = Field(10, ge=1, le=200)


class PoolSection(Section):
    """Limits of one agent pool."""

    concurrency: int = Field(100, ge=1, le=10_000, description="Agent jobs at once over all nodes.")
    per_tenant: int | None = Field(None, ge=1, description="Agent jobs at once of one tenant.")
    per_node: int | None = Field(None, ge=1, description="Agent jobs at once on one node.")


class EngineSection(Section):
    """Durable execution."""

    heartbeat_s: float = Field(1.0, gt=0, le=60)
    lease_ttl_s: float = Field(5.0, gt=0, le=600)
    max_recoveries: int = Field(5, ge=1, le=100)
    drain_s: float = Field(10.0, ge=0, le=600)
    retry_budget: int = Field(20, ge=0, le=10_000, description="Retries one run may use, over all its steps.")


class ProviderSection(Section):
    """Settings of one provider: these, and the fields its plugin declares. Its key is a variable."""

    model_config = ConfigDict(extra="allow", frozen=True)

    plugin: str | None = Field(
        None, description="Whose instance it is; the plugin of the same name when left out."
    )
    version: str | None = Field(None, description="Which version of the plugin: 1.2, or >=1.2,<2.")
    versions: dict[str, Annotated[int, Field(ge=0, le=1_000_000)]] | None = Field(
        None, description="Version -> weight: requests are divided among several versions."
    )
    attributes: dict[str, Any] | None = Field(
        None,
        description="What routing may ask about it: region, residency, compliance, local, anything else.",
    )
    base_url: str | None = None
    timeout_s: Seconds | None = None
    enabled: bool = True


class GatewaySection(Section):
    """The `/v1` door for clients that speak OpenAI's or Anthropic's protocol."""

    enabled: bool = True
    max_body_bytes: int = Field(32_000_000, ge=1_000, le=1_000_000_000)
    body_timeout_s: Seconds = Field(60.0, description="How long a request's body may take to arrive.")
    stalled_client_s: Seconds = Field(
        60.0, description="How long a write may wait for a client that does not read."
    )
    attempts: int = Field(3, ge=1, le=8, description="Targets asked at most for one call.")
    max_concurrency: int = Field(
        4_096, ge=1, le=100_000, description="Calls at once; more are refused with a time."
    )
    health_check_s: float = Field(
        30.0, ge=0, le=86_400, description="How often providers are asked; 0 never."
    )
    capture: Literal["off", "errors", "all"] = Field(
        "off", description="Which calls' requests and answers are kept, with secrets masked."
    )
    capture_max_bytes: int = Field(
        100_000, ge=1_000, le=10_000_000, description="Kept of a request, and of an answer."
    )
    connect_s: Seconds = 10.0
    first_byte_s: Seconds = 300.0
    idle_s: Seconds = 120.0
    total_s: Seconds = 900.0


class McpOAuthSection(Section):
    """An authorization server whose tokens `/mcp` takes besides the owner's token and virtual keys."""

    issuer: str = Field(pattern=r"^https?://\S+$", description="Exactly as its tokens name it.")
    audience: str = Field(
        pattern=r"^https?://\S+$", description="The public address of /mcp, exactly as tokens name it."
    )
    jwks_url: str = Field(pattern=r"^https?://\S+$", description="Where its public keys are.")
    scope: str = Field("tools", pattern=r"^\S+$", description="What a token must have been granted.")


class McpSection(Section):
    """The `/mcp` door for MCP clients."""

    enabled: bool = True
    allowed_origins: Names = Field(
        (), description="Web pages that may call it, such as https://chat.example."
    )
    session_idle_s: Seconds = Field(1_800.0, description="How long a session may be silent (2025 wire).")
    max_sessions: int = Field(10_000, ge=1, le=1_000_000, description="Sessions at once on this node.")
    wait_s: Seconds = Field(
        50.0, description="How long a call waits for a person where its client cannot be asked itself."
    )
    oauth: McpOAuthSection | None = None


class A2aSection(Section):
    """The `/a2a` door for other agents; needs the extra `a2a`."""

    enabled: bool = True
    skill: str | None = Field(None, description="The workflow that a message is for when it names none.")
    public_url: str | None = Field(None, description="How other agents reach this installation.")
    wait_s: Seconds = Field(300.0, description="How long a message waits for its task to end.")


class SimilarSection(Section):
    """Answers to similar questions, on routes whose `cache` says `semantic: true`. Off unless a model is named."""

    embedder: str | None = Field(
        None, pattern=r"^[^:\s]+:\S+$", description="provider:model for the vectors."
    )
    tenants: Names = Field(("*",), description="Whose questions are compared; each only with its own.")
    similarity: float = Field(0.97, ge=0.5, le=1.0)
    timeout_s: Seconds = 2.0


class ProviderCacheSection(Section):
    """How a provider's answers may be kept at most, on whatever route."""

    ttl_s: float = Field(3_600.0 * 24 * 365, ge=0, description="0 keeps none.")
    tiers: Names | None = Field(None, description="Of memory, redis, objects.")
    max_bytes: int = Field(1_000_000, ge=1)


class CacheSection(Section):
    """Answers kept for the next who asks, on routes with `cache`."""

    memory_bytes: int = Field(64_000_000, ge=0, le=64_000_000_000)
    redis_url: str | None = Field(None, description="The second tier; its password is MOSAIC_REDIS_PASSWORD.")
    objects_url: str | None = Field(None, description="The third tier: a folder, or an object store's URL.")
    semantic: SimilarSection = SimilarSection()
    providers: dict[str, ProviderCacheSection] = Field({}, description="By provider, with * and ?.")
    warm: bool = Field(
        True, description="Bring what was popular at this hour before into memory ahead of it."
    )


class RetrySection(Section):
    """How a model call that failed is tried again."""

    attempts: int = Field(4, ge=1, le=20)
    base_s: float = Field(1.0, ge=0, le=600)
    factor: float = Field(2.0, ge=1, le=10)
    max_s: float = Field(30.0, ge=0, le=3600)


class InferenceSection(Section):
    """Which models, and how they are called."""

    defaults: Names | None = Field(
        None, description="What an agent without a model gets, best first: provider:model, or a provider."
    )
    max_output_tokens: int = Field(16_384, ge=1, le=1_000_000)
    least_output_tokens: int = Field(1_024, ge=1, le=1_000_000)
    retry: RetrySection = RetrySection()
    check_ttl_s: float = Field(15.0, ge=0, le=3600, description="How long a provider's health is remembered.")


class PriceSection(Section):
    """A price in dollars for a million tokens; what is left out for the cache costs the same as other input."""

    input_usd_per_mtok: Usd
    output_usd_per_mtok: Usd
    cached_input_usd_per_mtok: Usd | None = None
    cache_write_usd_per_mtok: Usd | None = None


class QuotaSection(Section):
    """How much at once and per minute; what is left out is not limited."""

    requests_per_minute: int | None = Field(None, ge=1, le=2**31 - 1)
    tokens_per_minute: int | None = Field(None, ge=1, le=2**31 - 1)
    concurrency: int | None = Field(None, ge=1, le=2**31 - 1)


class QuotasSection(Section):
    """Quotas of calls from outside; several nodes share each of them equally."""

    tenants: dict[str, QuotaSection] = Field({}, description="By tenant; * for all that are not named.")
    projects: dict[str, QuotaSection] = Field(
        {}, description="By tenant/project; * for all that are not named."
    )
    keys: QuotaSection = Field(QuotaSection(), description="For keys that carry no limits of their own.")


class CostSection(Section):
    """What models cost here."""

    prices: dict[str, PriceSection] = Field(
        {}, description="provider:model, with * and ? as wildcards -> price; they win over the public list."
    )
    unpriced: Literal["refuse", "allow"] = Field(
        "refuse",
        description="What a run with a budget in dollars does about a model whose price nobody knows.",
    )
    quotas: QuotasSection = QuotasSection()


class SecretName(Section):
    """A secret by the name of its variable; it is read at the moment of the call."""

    secret: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,199}$")
    prefix: str = ""


class McpServerSection(Section):
    """An MCP server that workflows may name: a command to start, or an address."""

    command: tuple[str, ...] = ()
    url: str | None = Field(None, pattern=r"^https?://\S+$")
    headers: dict[str, str | SecretName] = {}
    env: dict[str, str | SecretName] = {}
    trust_annotations: bool = False
    confined: bool = False
    start_timeout_s: Seconds = 30.0

    @model_validator(mode="after")
    def _one_way_to_reach_it(self) -> "McpServerSection":
        if bool(self.command) == bool(self.url):
            raise ValueError("give either a command or a url")
        return self


class A2aAgentSection(Section):
    """An agent of another installation that workflows may name."""

    url: str = Field(
        pattern=r"^https?://[^\s@]+$", description="Below which its card is, or the card itself (.json)."
    )
    headers: dict[str, str | SecretName] = Field({}, description="Sent with each request.")


class ToolViewSection(Section):
    """A part of the tools under a name of its own: a virtual MCP server."""

    tools: Names = Field((), description="Patterns of tool names, such as `git.*`.")
    projects: Names = Field((), description="The projects that see this and nothing else; empty means any.")
    roles: Names = Field((), description="Who may use it; empty means anyone.")


class SandboxSection(Section):
    """Where commands run, and what must be held there."""

    driver: Literal["auto", "bubblewrap", "native", "docker", "e2b", "daytona", "off"] = Field(
        "auto", description="auto takes bubblewrap, or else native, if it holds what is required."
    )
    require: Annotated[
        tuple[
            Literal[
                "writes",
                "metadata",
                "reads",
                "network",
                "environment",
                "git",
                "processes",
                "memory",
                "cpu",
            ],
            ...,
        ],
        BeforeValidator(_listed),
    ] = Field(("writes", "reads", "environment"), description="What must be held; else a command is refused.")
    network: Literal["none", "policy", "host", "gateway"] = Field(
        "policy",
        description="Which commands have the network: none; those whose policy says `network: allow`; those whose "
        "policy does not deny it; or none, but the model gateway and the tool door where the policy says so.",
    )
    readable: Names = Field((), description="Directories of the host that commands may read.")
    memory_mb: int = Field(4_096, ge=64, description="Memory of one command, in MiB.")
    processes: int = Field(512, ge=16, le=100_000, description="Processes of one command.")
    cpus: float | None = Field(
        None, gt=0, le=1_024, description="Processors of one command; empty: no bound."
    )
    file_mb: int = Field(4_096, ge=1, description="The largest file that a command may write, in MiB.")
    image: str | None = Field(None, description="The image (Docker), template (E2B) or snapshot (Daytona).")


class ToolsSection(Section):
    """The tool door."""

    allow_private_hosts: Names = Field(
        (),
        description="Private hosts or networks that http.request and MCP over HTTP may reach, such as 127.0.0.1.",
    )
    mcp_servers: dict[str, McpServerSection] = Field({}, description="Servers that workflows may name.")
    a2a_agents: dict[str, A2aAgentSection] = Field({}, description="A2A agents that workflows may name.")
    sandbox: SandboxSection = SandboxSection()
    views: dict[str, ToolViewSection] = Field({}, description="Parts of the tools, by name: virtual servers.")


class WebhookSection(Section):
    """A place that is told of approvals, signed, and may answer them."""

    url: str | None = Field(
        None, pattern=r"^https?://\S+$", description="Where it is told; without it, it only answers."
    )
    secret: SecretName = Field(description="The variable with its secret: whsec_ and base64.")
    events: Annotated[
        tuple[Literal["requested", "voted", "decided", "expired"], ...], BeforeValidator(_listed)
    ] = Field(("requested", "decided", "expired"), description="What it is told.")
    roles: Names = Field((), description="What it answers as; without any it may not answer.")
    tolerance_s: float = Field(300.0, gt=0, le=300, description="How far its clock may be from ours.")


class ApprovalsSection(Section):
    """What holds for an approval where the tool or the workflow does not say."""

    roles: Names = Field((), description="Who may answer; empty means any person.")
    quorum: int = Field(1, ge=1, le=100, description="How many different people must say yes.")
    counting: Literal["veto", "majority"] = Field(
        "veto", description="One no rejects, or the larger side decides."
    )
    four_eyes: bool = Field(False, description="Whoever the run belongs to may not say yes.")
    timeout_s: Seconds | None = Field(
        None, description="Seconds until silence decides; empty waits for ever."
    )
    on_timeout: Literal["deny", "approve"] = "deny"
    webhooks: dict[str, WebhookSection] = Field(
        {}, description="Places that are told of approvals and may answer them, by name."
    )


class LimitsSection(Section):
    """Defaults for a run that names none."""

    usd: Usd | None = 5.0
    tokens: int | None = Field(None, ge=0)


class LogsSection(Section):
    """What the process says of itself on stderr."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "WARNING"
    style: Literal["text", "json"] = "text"
