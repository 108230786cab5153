"""What the OpenAPI document says: models, parameters, examples.

Law: what is described here is what is sent; a test reads both.
"""

from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field

_KEY = "5d0f0c1e7b6a49d2a3f18c04b7e9d6aa"
_CURSOR = "AQAAAADk3v0pXf9mVhQw7dJm0m2v9c3Kf0oX8b1z"
_VALUE = {
    "id_no__pseudonym": "x4k7q2m5w3c6t7y2a5d3f6h4j7",
    "name__surname": "张**",
    "sex": "1",
    "birth_date__year": 1990,
    "division_code__town": "371502001",
}


class ErrorBody(BaseModel):
    """What is answered where something is not given."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"error_code": 40101, "message": "no valid API key", "mend": "…"}]
        }
    )

    error_code: int = Field(description="the first three digits are the HTTP status")
    message: str = Field(description="what is wrong")
    mend: str | None = Field(None, description="what to do")
    reload: str | None = Field(None, description="where to read from the beginning")


class Entry(BaseModel):
    """One record of a share."""

    key: str = Field(description="the record's key in this share, hexadecimal", examples=[_KEY])
    value: dict[str, Any] | None = Field(
        description="the fields of the schema; null: gone at the source, or no longer yours",
        examples=[_VALUE],
    )


class RecordsPage(BaseModel):
    """Some records, and where to go on."""

    dataset: str = Field(examples=["ga.resident_base"])
    share: str = Field(examples=["sx5ynivk3"])
    schema_id: int = Field(examples=[7])
    records: list[Entry]
    cursor: str = Field(description="give it with the next request", examples=[_CURSOR])
    more: bool = Field(description="whether there is more already")


class ShareBody(BaseModel):
    """A share that is the caller's."""

    share: str = Field(examples=["sx5ynivk3"])
    dataset: str = Field(examples=["ga.resident_base"])
    title: str = Field(examples=["人口基础信息"])
    topic: str = Field(examples=["shared.ga.resident_base.sx5ynivk3"])
    state: str = Field(description="OPENING (being prepared) or LIVE", examples=["LIVE"])
    scope: str = Field(description="division 区划", examples=["371502"])
    items: dict[str, str] = Field(description="item → effect", examples=[{"name": "surname"}])
    schema_id: int = Field(
        description="what the frames carry; 0 until a registry has given it", examples=[7]
    )
    avro_schema: dict[str, Any] = Field(description="the Avro schema of the values")
    records: str = Field(examples=["/v1/shares/sx5ynivk3/records"])
    snapshot: str = Field(examples=["/v1/shares/sx5ynivk3/snapshot"])
    events: str = Field(examples=["/v1/shares/sx5ynivk3/events"])


def _error(words: str) -> dict[str, Any]:
    return {"model": ErrorBody, "description": words}


ERRORS: dict[int | str, dict[str, Any]] = {
    400: _error("the cursor is not one of yours, or the request is not HTTP (said as text)")
    | {"content": {"text/plain": {"schema": {"type": "string"}}}},
    401: _error("no valid API key"),
    403: _error("no right to this dataset"),
    404: _error("there is no such dataset or share, or you may not hear of it"),
    410: _error("the share is over or the cursor too old: `reload` says where to begin again"),
    422: _error("a parameter is wrong"),
    429: _error("asked too often: `Retry-After` says when to ask again"),
    503: _error("cannot be answered now: `Retry-After` says when to ask again"),
}

_HEADERS = {
    "ShuQiao-Share": {"schema": {"type": "string"}, "description": "the share that was read"},
    "ShuQiao-Cursor": {"schema": {"type": "string"}, "description": "where to go on"},
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_LINE = f'{{"key":"{_KEY}","value":{{"name__surname":"张**","sex":"1"}}}}\n'


def _answer(words: str, content: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": words, "headers": _HEADERS, "content": content}}


RECORDS = ERRORS | {
    200: {
        "model": RecordsPage,
        "description": "records, oldest first within a partition",
        "headers": _HEADERS,
        "content": {"application/avro": _BINARY},
    }
}
SNAPSHOT = ERRORS | _answer(
    "the current values; `ShuQiao-Cursor` is where to go on with records or events",
    {
        "application/x-ndjson": {"schema": {"type": "string"}, "example": _LINE},
        "text/csv": {
            "schema": {"type": "string"},
            "example": f"key,name__surname,sex\r\n{_KEY},张**,1\r\n",
        },
        "application/avro": _BINARY,
    },
)
EVENTS = ERRORS | _answer(
    "server-sent events, one `records` event a record; the id of an event is a cursor",
    {
        "text/event-stream": {
            "schema": {"type": "string"},
            "example": f"event: record\nid: {_CURSOR}\ndata: {_LINE}\n",
        }
    },
)

DatasetName = Annotated[
    str, Path(description="dataset 数据集", examples=["ga.resident_base"], max_length=128)
]
ShareName = Annotated[str, Path(description="share 共享", examples=["sx5ynivk3"], max_length=64)]
CursorText = Annotated[
    str, Query(description="where the last answer ended; none: from the beginning", max_length=2048)
]
Limit = Annotated[int, Query(ge=1, le=5_000, description="at most so many records")]
Wait = Annotated[int, Query(ge=0, le=60, description="seconds to wait where there is nothing yet")]

REGISTRY: dict[int | str, dict[str, Any]] = {
    status: ERRORS[status] for status in (400, 401, 404, 422, 429, 503)
}
HEALTH: dict[int | str, dict[str, Any]] = {
    400: ERRORS[400],
    503: {"description": "which part cannot be used"},
}
