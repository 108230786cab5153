"""`/v1`: a consumer's shares, their records, snapshots and events.

Law: an endpoint asks who calls and what may be read, and hands on; it decides nothing.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Header, Request
from starlette.concurrency import iterate_in_threadpool
from starlette.responses import Response

from broker.catalog import Catalog
from broker.sharing.keys import ApiKey
from broker.sharing.share import Share
from broker.web.cursor import Cursor, Cursors
from broker.web.delivery import Delivery, Page
from broker.web.documents import (
    ERRORS,
    EVENTS,
    RECORDS,
    SNAPSHOT,
    CursorText,
    DatasetName,
    Limit,
    ShareBody,
    ShareName,
    Wait,
)
from broker.web.forms import Avro, Csv, Entries, Form, NdJson, to_json
from broker.web.lines import Line, Lines
from broker.web.refusal import wrong_cursor
from broker.web.rights import Right, Rights
from broker.web.stream import Stream
from broker.web.waiting import Waiting

BATCH = 5_000
"""Records that leave together in a stream, at most."""

WEIGHT = 1 << 20
"""About so many bytes of values leave together in a stream, or one record."""

PIECE = 1 << 16
"""Bytes of a page that leave together."""

HEARTBEAT = 10.0
"""Seconds after which a stream without news says that it is alive."""

_SLICE = 5.0
"""Seconds after which a waiting request looks whether its caller is still there."""

Find = Callable[[ApiKey, str, str], tuple[Right, Cursor]]
SnapshotFormat = Literal["ndjson", "csv", "excel", "avro"]


@dataclass(frozen=True, slots=True)
class Desk:
    """What the endpoints work with. `caller` is the dependency that says who calls."""

    caller: Callable[..., ApiKey]
    rights: Rights
    delivery: Delivery
    cursors: Cursors
    lines: Lines
    waiting: Waiting
    catalog: Catalog

    def of_dataset(self, key: ApiKey, name: str, text: str) -> tuple[Right, Cursor]:
        """The right to the current share of a dataset, or to the cursor's share of it, and
        where to begin."""
        if not text:
            right = self.rights.to_dataset(key, name)
            return right, self.delivery.beginning(right)
        cursor = self.cursors.read(text, key.consumer)
        right = self.rights.to_share(key, cursor.share)
        if right.share.dataset != name:
            raise wrong_cursor()
        return right, cursor

    def of_share(self, key: ApiKey, name: str, text: str) -> tuple[Right, Cursor]:
        """The right to a share, and where to begin."""
        right = self.rights.to_share(key, name)
        if not text:
            return right, self.delivery.beginning(right)
        cursor = self.cursors.read(text, key.consumer)
        if cursor.share != name:
            raise wrong_cursor()
        return right, cursor

    def headers(self, right: Right, cursor: Cursor) -> dict[str, str]:
        """What every answer with records says of itself."""
        return {
            "ShuQiao-Share": right.share.id,
            "ShuQiao-Cursor": self.cursors.write(cursor, right.key.consumer),
        }

    async def records(
        self, request: Request, found: tuple[Right, Cursor], limit: int, wait: int, form: str
    ) -> Response:
        """Some records after the cursor."""
        right, cursor = found
        if wait:
            with self.lines.opened(right, request.client) as line:
                for waited in range(0, wait, int(_SLICE)):
                    if await self.waiting.more(line, cursor, min(_SLICE, wait - waited)):
                        break
                    if await request.is_disconnected():
                        return Response(status_code=204)
        page = await run_sync(self.delivery.page, right, cursor, limit, "records")
        make = self._avro_page if form == "avro" else self._json_page
        return await run_sync(make, right, page)

    def _json_page(self, right: Right, page: Page) -> Response:
        headers = self.headers(right, page.cursor)
        share = right.share
        head = {"dataset": share.dataset, "share": share.id, "schema_id": share.schema_id}
        tail = {"cursor": headers["ShuQiao-Cursor"], "more": not page.at_end}
        records = ",".join(Entries(share.schema).texts(page.records)).encode()
        body = to_json(head)[:-1] + b',"records":[' + records + b"]," + to_json(tail)[1:]
        return self._whole(right, body, "application/json", headers)

    def _avro_page(self, right: Right, page: Page) -> Response:
        headers = self.headers(right, page.cursor)
        form = Avro(right.share.schema, headers["ShuQiao-Cursor"])
        body = form.head() + form.batch(page.records)
        return self._whole(right, body, form.media_type, headers)

    def _whole(
        self, right: Right, body: bytes, media_type: str, headers: dict[str, str]
    ) -> Response:
        """A body whose length is known, in pieces: the right is asked before each."""

        async def pieces(line: Line) -> AsyncIterator[bytes]:
            for start in range(0, len(body), PIECE):
                await run_sync(self.rights.hold, right)
                yield body[start : start + PIECE]

        length = {"Content-Length": str(len(body))}
        return Stream(
            pieces, self.lines, right, _no_words, media_type=media_type, headers=headers | length
        )

    async def snapshot(self, right: Right, name: SnapshotFormat) -> Response:
        """The current values of a share."""
        end = await run_sync(self.delivery.end, right)
        headers = self.headers(right, end)
        form = _form(name, right.share, headers["ShuQiao-Cursor"])
        file = f"{right.share.dataset}.{right.share.id}.{form.extension}"
        headers["Content-Disposition"] = f'attachment; filename="{file}"'

        async def pieces(line: Line) -> AsyncIterator[bytes]:
            yield form.head()
            batches = self.delivery.snapshot(right, end, BATCH, WEIGHT)
            async for piece in iterate_in_threadpool(map(form.batch, batches)):
                yield piece

        return Stream(
            pieces, self.lines, right, form.last_words, media_type=form.media_type, headers=headers
        )

    def events(self, found: tuple[Right, Cursor]) -> Response:
        """Everything after the cursor, and what is new as it comes."""
        right, start = found
        entries = Entries(right.share.schema)

        def batch(cursor: Cursor) -> tuple[bytes, Cursor]:
            page = self.delivery.page(right, cursor, BATCH, "events")
            mark = self.cursors.write(page.cursor, right.key.consumer)
            return _events(entries.texts(page.records), mark), page.cursor

        async def pieces(line: Line) -> AsyncIterator[bytes]:
            cursor = start
            while True:
                piece, cursor = await run_sync(batch, cursor)
                yield piece
                while not await self.waiting.more(line, cursor, HEARTBEAT):
                    await run_sync(self.rights.hold, right)
                    yield b":\n\n"

        return Stream(
            pieces,
            self.lines,
            right,
            _error_event,
            media_type="text/event-stream",
            headers=self.headers(right, start),
        )


def records_router(desk: Desk) -> APIRouter:
    """The endpoints of `/v1`."""
    router = APIRouter(prefix="/v1", tags=["records"])
    Caller = Annotated[ApiKey, Depends(desk.caller)]

    @router.get("/shares", response_model=list[ShareBody], responses=ERRORS)
    def shares(key: Caller) -> Response:
        """The shares that are yours."""
        body = [_described(one, desk.catalog) for one in desk.rights.shares(key)]
        return Response(to_json(body), media_type="application/json")

    _add(router, desk, "dataset", desk.of_dataset)
    _add(router, desk, "share", desk.of_share)
    return router


def _add(router: APIRouter, desk: Desk, what: str, find: Find) -> None:
    """Records, snapshot and events of a dataset's current share, or of a share."""
    Caller = Annotated[ApiKey, Depends(desk.caller)]
    Name = DatasetName if what == "dataset" else ShareName
    place = f"/{what}s/{{name}}"

    @router.get(f"{place}/records", responses=RECORDS, name=f"{what}_records")
    async def records(
        request: Request,
        key: Caller,
        name: Name,  # type: ignore[valid-type]
        cursor: CursorText = "",
        limit: Limit = 1_000,
        wait: Wait = 0,
        format: Literal["json", "avro"] = "json",
    ) -> Response:
        """Records after the cursor; without one, from the beginning."""
        found = await run_sync(find, key, name, cursor)
        return await desk.records(request, found, limit, wait, format)

    @router.get(f"{place}/snapshot", responses=SNAPSHOT, name=f"{what}_snapshot")
    async def snapshot(
        key: Caller,
        name: Name,  # type: ignore[valid-type]
        format: SnapshotFormat = "ndjson",
    ) -> Response:
        """The current value of every record, and the cursor to go on from."""
        right, _ = await run_sync(find, key, name, "")
        return await desk.snapshot(right, format)

    @router.get(f"{place}/events", responses=EVENTS, name=f"{what}_events")
    async def events(
        key: Caller,
        name: Name,  # type: ignore[valid-type]
        cursor: CursorText = "",
        last_event_id: Annotated[str, Header(max_length=2048)] = "",
    ) -> Response:
        """Server-sent events: records after the cursor (or `Last-Event-ID`), then what is new."""
        return desk.events(await run_sync(find, key, name, last_event_id or cursor))


def _form(name: SnapshotFormat, share: Share, cursor: str) -> Form:
    if name == "ndjson":
        return NdJson(share.schema)
    if name == "avro":
        return Avro(share.schema, cursor)
    return Csv(share.schema, excel=name == "excel")


def _events(entries: list[str], mark: str) -> bytes:
    """Records as events; the last has the cursor, so that a reader goes on behind a whole batch."""
    pieces = [f"event: record\ndata: {entry}\n" for entry in entries]
    if pieces:
        pieces[-1] += f"id: {mark}\n"
    return "".join([f"{piece}\n" for piece in pieces]).encode()


def _error_event(error: Mapping[str, object]) -> bytes:
    return b"event: error\ndata: " + to_json(error) + b"\n\n"


def _no_words(error: Mapping[str, object]) -> bytes:
    return b""


def _described(share: Share, catalog: Catalog) -> dict[str, Any]:
    """A share as `ShareBody` says."""
    place = f"/v1/shares/{share.id}"
    return {
        "share": share.id,
        "dataset": share.dataset,
        "title": catalog.dataset(share.dataset).title,
        "topic": share.topic,
        "state": share.state,
        "scope": share.rows.scope.code,
        "items": {name: str(effect) for name, effect in share.effects.items()},
        "schema_id": share.schema_id,
        "avro_schema": share.schema,
        "records": f"{place}/records",
        "snapshot": f"{place}/snapshot",
        "events": f"{place}/events",
    }
