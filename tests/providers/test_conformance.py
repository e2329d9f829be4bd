"""The kit finds what is wrong with a plugin, and what it writes itself passes it."""

import pytest

from mosaic.core.errors import Conflict, InvalidInput, NotFound
from mosaic.providers.manifest import KINDS
from mosaic.providers.testing import check_plugin, scaffold

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("ORC-243")]


def outcomes(report):
    return {finding.check: finding.outcome for finding in report.findings}


def failures(report):
    return {finding.check: finding.detail for finding in report.findings if finding.outcome == "failed"}


@pytest.mark.parametrize("name", ["anthropic", "cohere", "gemini", "ollama", "openai"])
async def test_the_built_in_providers_conform(name):
    report = await check_plugin(name)
    assert failures(report) == {}
    assert len(report.findings) > 15


@pytest.mark.parametrize("kind", KINDS)
async def test_a_new_plugin_of_every_kind_conforms(kind, tmp_path):
    scaffold("acme-test", kind=kind, directory=tmp_path)
    report = await check_plugin(str(tmp_path / "acme-test"))
    assert failures(report) == {}
    assert report.passed
    assert "skipped" not in outcomes(report).values()


BREAKAGES = {
    "the stream swallows its end": (
        'raise Unavailable(f"{self.name} broke off its answer before the end.", provider=self.name, sent=True)',
        'end = {"usage": {"input": 11, "output": 7}}',
        "a stream that is cut off is an error, wherever it is cut",
    ),
    "an answer names the plugin": (
        '"stop", usage, request.model, self.name)',
        '"stop", usage, request.model, "acme")',
        "a call answers with text, usage and the instance's name",
    ),
    "the usage is lost": (
        'Usage(body["usage"]["input"], body["usage"]["output"])',
        "Usage()",
        "a call answers with text, usage and the instance's name",
    ),
    "a surprise is not translated": (
        'with reading(self.name):\n            return self._response(body["text"]',
        'if True:\n            return self._response(body["text"]',
        "nonsense is a contract violation, and no redirect is followed",
    ),
    "the vendor's words are not mapped": (
        "errors=ERRORS",
        "errors={}",
        "errors are mapped to the common tree, without keys",
    ),
    "a key is shown": (
        "def _body(self",
        "def __repr__(self):\n        return str(self._http._headers)\n\n    def _body(self",
        "secrets do not show",
    ),
    "no time limit is kept": (
        "timeout_s=request.timeout_s",
        "timeout_s=30",
        "time limits are kept, and say whether it was sent",
    ),
    "a check raises": (
        "except MosaicError as error:\n                return health_of(error, self.name)",
        "except ZeroDivisionError as error:\n                return health_of(error, self.name)",
        "a health check answers and never raises",
    ),
    "closing twice fails": (
        "def _body(self",
        "async def close(self):\n        await self._http.close()\n        del self._http\n\n    def _body(self",
        "closing twice is right",
    ),
    "it calls home": (
        "self._model = model",
        'self._model = model\n        import socket\n        socket.getaddrinfo("192.0.2.1", 443)',
        "only declared hosts are called",
    ),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
async def test_the_kit_finds_it_when(breakage, tmp_path):
    old, new, check = BREAKAGES[breakage]
    scaffold("acme", kind="ai", directory=tmp_path)
    path = tmp_path / "acme" / "provider.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert check in failures(await check_plugin(str(tmp_path / "acme")))


@pytest.mark.parametrize(
    ("old", "new", "check"),
    [
        ("{id}", "{id}/x", "create, get, update, list and delete work"),
        (
            'Pagination("page", "page"',
            'Pagination("page", "start"',
            "a listing is whole, over all pages, or raises",
        ),
        ('{"title": fields["name"]} if', "{} if", "create, get, update, list and delete work"),
        (
            'kind: ClassVar[str] = "repository"',
            'kind: ClassVar[str] = "toaster"',
            "its resources are known ones, each with a sample",
        ),
    ],
)
async def test_the_kit_finds_resources_that_do_not_work(old, new, check, tmp_path):
    scaffold("forge", kind="git", directory=tmp_path)
    path = tmp_path / "forge" / "provider.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert check in failures(await check_plugin(str(tmp_path / "forge")))


@pytest.mark.parametrize("style", ["none", "page", "offset", "cursor", "link"])
async def test_listings_are_whole_in_every_style_of_pages(style, tmp_path):
    scaffold("forge", kind="git", directory=tmp_path)
    fields = {"cursor": ', next_field="next"'}.get(style, "")
    for name, old, new in (
        (
            "provider.py",
            'Pagination("page", "page", "limit", 100)',
            f'Pagination("{style}", "page", "limit", 100{fields})',
        ),
        ("plugin.yaml", "style: page,", f"style: {style}," + (" next_field: next," if fields else "")),
    ):
        path = tmp_path / "forge" / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
    assert failures(await check_plugin(str(tmp_path / "forge"))) == {}


@pytest.mark.requirement("ORC-218")
async def test_a_capability_that_is_claimed_and_not_there_is_found(tmp_path):
    scaffold("acme", kind="ai", directory=tmp_path)
    path = tmp_path / "acme" / "plugin.yaml"
    path.write_text(path.read_text() + "  embeddings: supported\n  teleport: supported\n")
    detail = failures(await check_plugin(str(tmp_path / "acme")))["declared capabilities are there"]
    assert "Embedder" in detail
    assert "teleport" in detail


async def test_a_plugin_that_cannot_be_loaded_is_one_failed_check(tmp_path):
    scaffold("acme", kind="ai", directory=tmp_path)
    (tmp_path / "acme" / "plugin.yaml").write_text("id: Acme\n")
    report = await check_plugin(str(tmp_path / "acme"))
    assert list(outcomes(report)) == ["the plugin can be loaded"]
    assert "plugin.yaml:" in failures(report)["the plugin can be loaded"]
    scaffold("bare", kind="ai", directory=tmp_path)
    (tmp_path / "bare" / "conformance.yaml").unlink()
    assert (
        "conformance.yaml" in failures(await check_plugin(str(tmp_path / "bare")))["the plugin can be loaded"]
    )


async def test_what_is_not_there_cannot_be_checked():
    with pytest.raises(NotFound, match="no-such-plugin"):
        await check_plugin("no-such-plugin")


def test_a_plugin_is_not_written_over_another_or_under_a_wrong_name(tmp_path):
    scaffold("acme", kind="ai", directory=tmp_path)
    with pytest.raises(Conflict):
        scaffold("acme", kind="git", directory=tmp_path)
    for name in ("Acme", "../acme", "", "a_b"):
        with pytest.raises(InvalidInput):
            scaffold(name, kind="ai", directory=tmp_path)
