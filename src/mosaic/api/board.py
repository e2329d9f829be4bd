"""The board's files: the page for every screen's address, what it loads, or a plain page that says why there is none."""

import html
import mimetypes
from collections.abc import Callable
from pathlib import Path

import anyio
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mosaic import __version__
from mosaic.app.web_build import Board, BoardState

__all__ = ["BoardFiles"]

# The first parts of the addresses that the board's router knows.
_SCREENS = frozenset(
    {"", "board", "runs", "inbox", "agents", "cost", "settings", "sign-in", "report", "plans", "workflows"}
)
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>MosAIc</title>{refresh}
<meta name="viewport" content="width=device-width">
<style>body{{font:16px/1.5 system-ui;max-width:46rem;margin:4rem auto;padding:0 1rem;color:#1d2233;background:#f4f2ee}}
code,pre{{background:#e6e3dc;padding:.1em .35em;border-radius:4px}}pre{{padding:1em;overflow:auto}}a{{color:#2748b8}}
@media(prefers-color-scheme:dark){{body{{color:#e8e6e1;background:#1b1e27}}code,pre{{background:#2a2f3c}}a{{color:#8fa8ff}}}}</style>
<h1>MosAIc is running</h1>
<p>Version {version}. {why} The command line and the API do the work meanwhile.</p>{detail}
<ul><li><code>mosaic runs list</code>, <code>mosaic runs watch RUN</code>, <code>mosaic approvals list</code></li>
<li><a href="/api/v1/openapi.json">OpenAPI</a>, <a href="/healthz">health</a></li>
<li>The owner's token for <code>Authorization: Bearer</code> is in <code>.mosaic/owner-token</code>.</li></ul></html>"""
_PLAIN_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_SAFE = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_WHY = {
    "building": "The board is being built; this page looks again by itself.",
    "failed": "The board could not be built.",
}


class BoardFiles:
    """Answers what the board asks for, and hands on everything else.

    Args:
        app: what is behind it.
        board: what there is to serve; None where this process shows no board.
    """

    def __init__(self, app: ASGIApp, board: Board | None) -> None:
        self._app = app
        self._board = board

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            answer = await self._answer(str(scope["path"]), _accepts_gzip(scope))
            if answer is not None:
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _answer(self, path: str, gzipped: bool) -> Response | None:
        state = self._board.state if self._board is not None else BoardState("missing")
        screen = path.strip("/").partition("/")[0] in _SCREENS
        if state.folder is None:
            return _plain_page(state) if screen else None
        if not screen:
            return await _file(state.folder, path, gzipped)
        try:
            text = await anyio.Path(state.folder, "index.html").read_text(encoding="utf-8")
        except FileNotFoundError:  # newer builds of other servers have taken its place
            return _plain_page(
                BoardState("failed", message="The build was removed. Start this server again.")
            )
        headers = {**_SAFE, "Cache-Control": "no-cache"}
        if state.status != "ready":
            note = html.escape(state.message[-2000:], quote=True)
            text = text.replace("<head>", f'<head><meta name="board-{state.status}" content="{note}">', 1)
        return HTMLResponse(text, headers=headers)


async def _file(folder: Path, path: str, gzipped: bool) -> Response | None:
    """Return one file of the build, or None when it has no such file."""
    parts = path.strip("/").split("/")
    if any(part in ("", ".", "..") or "\\" in part for part in parts):
        return None
    file = anyio.Path(folder, *parts)
    if not await file.is_file():
        return None
    kind, _ = mimetypes.guess_type(parts[-1])
    lasting = "public, max-age=31536000, immutable" if parts[0] == "assets" else "no-cache"
    headers = {**_SAFE, "Cache-Control": lasting, "Vary": "Accept-Encoding"}
    packed = anyio.Path(folder, *parts[:-1], f"{parts[-1]}.gz")
    if gzipped and await packed.is_file():
        file = packed
        headers["Content-Encoding"] = "gzip"
    media = "text/javascript" if parts[-1].endswith(".js") else kind or "application/octet-stream"
    return Response(await file.read_bytes(), media_type=media, headers=headers)


def _plain_page(state: BoardState) -> Response:
    why = _WHY.get(state.status, "This installation came without a board.")
    detail = f"<pre>{html.escape(state.message)}</pre>" if state.status == "failed" and state.message else ""
    refresh = '<meta http-equiv="refresh" content="2">' if state.status == "building" else ""
    text = _PAGE.format(version=__version__, why=why, detail=detail, refresh=refresh)
    return HTMLResponse(text, headers=_PLAIN_HEADERS)


def _accepts_gzip(scope: Scope) -> bool:
    find: Callable[[bytes], bytes] = dict(scope["headers"]).get  # type: ignore[assignment]
    return b"gzip" in (find(b"accept-encoding") or b"")
