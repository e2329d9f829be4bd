"""Sessions of browsers: codes are good once and for a while, sessions end, and another token ends all."""

from mosaic.app.sessions import SESSION_S, Sessions


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_code_is_good_once_and_for_half_an_hour() -> None:
    clock = Clock()
    sessions = Sessions("token", clock=clock)
    code, late = sessions.new_code(), sessions.new_code()
    assert sessions.redeem("another") is None
    assert sessions.redeem(code) is not None
    assert sessions.redeem(code) is None
    clock.now += 30 * 60 + 1
    assert sessions.redeem(late) is None


def test_many_codes_push_out_the_oldest() -> None:
    sessions = Sessions("token")
    codes = [sessions.new_code() for _ in range(101)]
    assert sessions.redeem(codes[0]) is None
    assert sessions.redeem(codes[-1]) is not None


def test_a_session_outlives_a_restart_and_ends_by_time_or_another_token() -> None:
    clock = Clock()
    session = Sessions("token", clock=clock).open(" token\n")
    assert session is not None
    again = Sessions("token", clock=clock)
    assert again.expires_at(session) == clock.now + SESSION_S
    assert Sessions("other", clock=clock).expires_at(session) is None
    assert Sessions("other").cookie != again.cookie
    clock.now += SESSION_S + 1
    assert again.expires_at(session) is None
    assert again.open("wrong") is None


def test_a_session_that_was_signed_out_is_over() -> None:
    sessions = Sessions("token")
    session, other = sessions.open("token"), sessions.open("token")
    assert session is not None
    assert other is not None
    sessions.end(session)
    assert sessions.expires_at(session) is None
    assert sessions.expires_at(other) is not None
    sessions.end("nonsense")
