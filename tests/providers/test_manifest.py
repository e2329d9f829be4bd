"""Manifests are data: they survive their JSON form, and what is wrong with one is said with its place."""

import pytest
from jsonschema import Draft202012Validator

from mosaic.core.redaction import Redactor
from mosaic.providers import (
    Auth,
    Dependency,
    Pagination,
    Permissions,
    ProviderManifest,
    ProviderRegistry,
    RateLimitHeaders,
    Support,
    Webhook,
)
from mosaic.providers.manifest_check import manifest_problems, manifest_schema

FULL = ProviderManifest(
    id="acme-git",
    kind="git",
    name="Acme",
    version="1.2.3",
    description="Everything of Acme.",
    base_url="https://api.acme.test/v1",
    configuration={"type": "object", "properties": {"token": {}, "hook_secret": {}, "base_url": {}}},
    environment={"token": "ACME_TOKEN"},
    secrets=("token", "hook_secret"),
    kinds=("git", "ci"),
    auth=(Auth("bearer", "token", "authorization", "Bearer"),),
    pagination=Pagination("link", "page", "per_page", 100),
    rate_limit=RateLimitHeaders("x-limit", "x-left", "x-reset", "epoch"),
    errors={"no_such_repo": "not_found", "409": "conflict"},
    webhook=Webhook("hmac-sha256", "x-signature", "hook_secret", "sha256="),
    operations={
        "repositories": Support("supported", scope="repo"),
        "mirrors": Support("unsupported", "no API for it"),
    },
    permissions=Permissions(("configured", "*.acme.test"), ("ACME_PROXY",), ("~/.acme",)),
    requires=(Dependency("base", ">=1,<2"),),
)


@pytest.mark.requirement("ORC-92")
def test_the_published_schema_is_one_and_a_full_manifest_fits_it():
    Draft202012Validator.check_schema(manifest_schema())
    assert manifest_problems(FULL.to_json()) == []


@pytest.mark.requirement("ORC-92")
def test_a_manifest_survives_its_json_form():
    assert ProviderManifest.from_json(FULL.to_json()) == FULL


@pytest.mark.parametrize("name", ["anthropic", "cohere", "gemini", "ollama", "openai", "scripted"])
@pytest.mark.requirement("ORC-92")
def test_every_built_in_manifest_fits_the_schema(name):
    manifest = ProviderRegistry(redactor=Redactor(), environment={}).manifest(name)
    assert manifest_problems(manifest.to_json()) == []
    assert ProviderManifest.from_json(manifest.to_json()) == manifest


@pytest.mark.requirement("ORC-93")
@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"id": "Acme"}, "id", "does not match"),
        ({"version": "one"}, "version", "does not match"),
        ({"kinds": ["toaster"]}, "kinds[0]", "toaster"),
        ({"kinds": []}, "kinds", "non-empty"),
        ({"api": 2}, "api", "1 was expected"),
        ({"colour": "red"}, "", "colour"),
        ({"environment": {"tokn": "ACME_TOKEN"}}, "environment.tokn", "not a field"),
        ({"secrets": ["key"]}, "secrets[0]", "not a field"),
        ({"auth": [{"type": "key", "field": "base_url"}]}, "auth[0].field", "secrets"),
        ({"operations": {"mirrors": {"level": "partial"}}}, "operations.mirrors", ""),
        ({"errors": {"x": "teapot"}}, "errors.x", "teapot"),
        ({"requires": [{"plugin": "base", "versions": ">>1"}]}, "requires[0].versions", "range"),
        ({"requires": [{"plugin": "acme-git"}]}, "requires[0].plugin", "itself"),
        (
            {"configuration": {"type": "object", "properties": {"timeout_s": {}}}},
            "configuration.properties",
            "",
        ),
        (
            {"configuration": {"type": "object", "properties": {"a": {"type": 3}}}},
            "configuration",
            "JSON Schema",
        ),
        ({"permissions": {"network": ["a b"]}}, "permissions.network[0]", "does not match"),
    ],
)
def test_what_is_wrong_with_a_manifest_is_said_with_its_place(change, path, words):
    problems = manifest_problems({**FULL.to_json(), **change})
    assert any(problem.path.startswith(path) and words in problem.message for problem in problems), problems
