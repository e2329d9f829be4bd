"""Signing in: a code that is good once or the owner's token, never in a request's address; foreign pages get nothing."""

import httpx2
from playwright.sync_api import Browser, expect

from tests.web.conftest import Server, Watch


def test_the_printed_address_signs_one_browser_in_once(
    browser: Browser, server: Server, watch: Watch
) -> None:
    watch.expected.append("401")
    context = browser.new_context()
    watch.on(context)
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    page.goto(server.sign_in)
    expect(page.get_by_role("navigation", name="Places")).to_be_visible()
    assert "code" not in page.url
    code = server.sign_in.partition("code=")[2]
    assert not any(code in url.partition("#")[0] for url in asked)
    (cookie,) = context.cookies(f"{server.address}/api/v1/session")
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    context.close()

    context = browser.new_context()
    watch.on(context)
    page = context.new_page()
    page.goto(server.sign_in)
    expect(page.get_by_role("alert")).to_contain_text("not good any more")
    context.close()


def test_the_owners_token_signs_in_and_a_wrong_one_says_so(
    browser: Browser, server: Server, watch: Watch
) -> None:
    watch.expected.append("401")
    context = browser.new_context()
    watch.on(context)
    page = context.new_page()
    page.goto(f"{server.address}/inbox")
    page.get_by_label("Owner's token").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not the owner's token")
    page.get_by_label("Owner's token").fill(server.http.headers["authorization"].removeprefix("Bearer "))
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Inbox")).to_be_visible()
    assert page.url == f"{server.address}/inbox"
    context.close()


def test_a_session_is_good_for_pages_of_ours_only(server: Server) -> None:
    own = {"Origin": server.address}
    with httpx2.Client(base_url=f"{server.address}/api/v1", trust_env=False) as http:
        assert http.get("/session").json()["signed_in"] is False
        assert http.get("/runs").status_code == 401
        foreign = {"Origin": "http://127.0.0.1:1"}
        body = {"code": server.code()}
        assert http.post("/session", json=body, headers=foreign).status_code == 403
        assert http.post("/session", json=body, headers=own).status_code == 200
        assert http.post("/session", json=body, headers=own).status_code == 401
        assert http.get("/runs").status_code == 200
        assert http.get("/runs", headers={"Sec-Fetch-Site": "same-site"}).status_code == 403
        wanted = {"scope": "tenant", "period": "day", "usd": 1}
        assert http.put("/budgets", json=wanted).status_code == 403
        assert http.put("/budgets", json=wanted, headers=foreign).status_code == 403
        answer = http.put("/budgets", json=wanted, headers=own)
        assert answer.status_code == 200
        assert http.delete(f"/budgets/{answer.json()['id']}", headers=own).status_code == 200
        (cookie,) = [f"{name}={value}" for name, value in http.cookies.items()]
        assert http.delete("/session", headers=own).status_code == 204
        assert http.get("/runs", headers={"Cookie": cookie}).status_code == 401


def test_what_is_no_session_is_none(server: Server) -> None:
    with httpx2.Client(base_url=f"{server.address}/api/v1", trust_env=False) as http:
        http.post("/session", json={"code": server.code()}, headers={"Origin": server.address})
        ((name, value),) = dict(http.cookies).items()
    expires, nonce, signature = value.split(".")
    forged = [
        f"{int(expires) + 1}.{nonce}.{signature}",
        f"{expires}.{nonce}.{'0' * len(signature)}",
        f"{expires}.{nonce}",
        ".",
        "",
        "é",
    ]
    with httpx2.Client(base_url=f"{server.address}/api/v1", trust_env=False) as http:
        for text in forged:
            answer = http.get("/runs", headers={"Cookie": f"{name}={text}".encode()})
            assert answer.status_code == 401, text
