"""What is answered where something is not given: one form for every error.

Law: `{"error_code", "message"}`, as registry clients expect it, with `mend` (what to do)
and `reload` (where to begin again) beside it on our own paths. The first three digits of
the code are the HTTP status. What a caller may not know of is answered like what does not
exist. No value of a record, no text of a foreign error.
"""

from collections.abc import Mapping

from starlette.responses import JSONResponse, Response


class Refusal(Exception):
    """A request refused, or a stream ended. Stays in this package."""

    def __init__(
        self, code: int, message: str, mend: str = "", reload: str = "", wait: int = 0
    ) -> None:
        """`wait` is in seconds: when to ask again."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.mend = mend
        self.reload = reload
        self.wait = wait

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.code // 100

    def body(self) -> dict[str, object]:
        """As JSON."""
        more = {"mend": self.mend, "reload": self.reload}
        return {"error_code": self.code, "message": self.message} | {
            name: text for name, text in more.items() if text
        }

    def response(self, headers: Mapping[str, str] | None = None) -> Response:
        """As an answer."""
        found = dict(headers or {})
        if self.wait:
            found["Retry-After"] = str(self.wait)
        if self.status == 401:
            found["WWW-Authenticate"] = 'Bearer realm="shuqiao", Basic realm="shuqiao"'
        return JSONResponse(self.body(), self.status, found)


def no_such_share() -> Refusal:
    """The share is not there, or nothing that the caller may hear of."""
    return Refusal(40404, "there is no such share", "GET /v1/shares lists yours")


def no_such_dataset() -> Refusal:
    """The dataset is not in the catalogue."""
    return Refusal(40405, "there is no such dataset", "GET /v1/shares lists what you may read")


def no_right(dataset: str) -> Refusal:
    """Nothing of the dataset is the caller's."""
    return Refusal(
        40301,
        f"you have no right to {dataset}: never given, ended, suspended or expired",
        "delete your copy if you have one; ask the provider for a grant 共享申请",
    )


def share_is_over(dataset: str) -> Refusal:
    """A share that was the caller's is closed, or no longer the caller's."""
    return Refusal(
        41001,
        "this share is over: closed, or no longer yours",
        "delete your copy of it, then read the dataset's current share from the beginning",
        f"/v1/datasets/{dataset}/snapshot",
    )


def too_far_behind(dataset: str) -> Refusal:
    """What was deleted meanwhile may be forgotten: the copy cannot be brought up to date."""
    return Refusal(
        41002,
        "this cursor is too old: deletions since then may be forgotten",
        "delete your copy and read again from the beginning",
        f"/v1/datasets/{dataset}/snapshot",
    )


def not_open_yet(dataset: str) -> Refusal:
    """The share is still catching up."""
    return Refusal(50302, f"the share of {dataset} is being prepared", "ask again", wait=2)


def away() -> Refusal:
    """A part of the broker cannot be used now: nothing is released meanwhile."""
    return Refusal(50301, "the broker cannot answer now", "ask again", wait=5)


def wrong_cursor() -> Refusal:
    """Not a cursor, or another's."""
    return Refusal(
        40001, "this cursor is not one of yours", "use the one you were given, or none to begin"
    )


def wrong_key() -> Refusal:
    """No key, or a wrong one."""
    return Refusal(
        40101,
        "no valid API key",
        "Authorization: Bearer KEY, or Basic CONSUMER:KEY; `shuqiao consumer key add` makes one",
    )


def too_many(what: str, wait: int) -> Refusal:
    """A limit is reached."""
    return Refusal(42901, f"too many {what}", "ask less often", wait=wait)
