"""HTTP as consumers use it: what they get, in every form, and what they do not."""

import csv
import io
import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import httpx2
import pytest
from sqlalchemy import delete, insert, text, update

from broker.errors import StoreError
from broker.store.tables import pull
from broker.web import cursor as cursors
from tests import city
from tests.serving import Served, change, live, served, until

DATASET = "ga.resident_base"
RECORDS = f"/v1/datasets/{DATASET}/records"
SNAPSHOT = f"/v1/datasets/{DATASET}/snapshot"
EVENTS = f"/v1/datasets/{DATASET}/events"


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, people=60) as found:
        yield found


def pages(client: httpx2.Client, limit: int, start: str = "") -> Iterator[dict[str, Any]]:
    """Every page from the cursor to the end."""
    cursor, more = start, True
    while more:
        answer = client.get(RECORDS, params={"limit": limit, "cursor": cursor})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["records"]) <= limit
        yield page
        cursor, more = page["cursor"], page["more"]


def values(records: list[dict[str, Any]]) -> dict[str, Any]:
    """What a consumer has after applying the records in order."""
    held: dict[str, Any] = {}
    for one in records:
        if one["value"] is None:
            held.pop(one["key"], None)
        else:
            held[one["key"]] = one["value"]
    return held


def wanted(web: Served, outcome: Any) -> dict[str, Any]:
    return {key.hex(): value for key, value in city.shown(web.broker, outcome).items()}


def refused(answer: httpx2.Response, code: int) -> dict[str, Any]:
    assert answer.status_code == code // 100, answer.text
    body: dict[str, Any] = answer.json()
    assert body["error_code"] == code and body["message"]
    assert answer.headers["cache-control"] == "no-store"
    return body


def test_every_form_says_the_same(web: Served) -> None:
    one = live(web.broker, "a", "name sex hukou_addr")
    client = web.client("a")
    expected = wanted(web, one)
    assert len(expected) == 60
    for limit in (1, 7, 5_000):
        found = [record for page in pages(client, limit) for record in page["records"]]
        assert values(found) == expected
    lines = client.get(SNAPSHOT).text.splitlines()
    assert values([json.loads(line) for line in lines]) == expected
    for form in ("csv", "excel"):
        text = client.get(SNAPSHOT, params={"format": form}).content.decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        assert {row.pop("key"): row for row in rows} == expected
    for place in (SNAPSHOT, RECORDS):
        answer = client.get(place, params={"format": "avro"})
        reader = fastavro.reader(io.BytesIO(answer.content))
        assert values(list(reader)) == expected  # type: ignore[arg-type]
        assert reader.metadata["shuqiao.cursor"] == answer.headers["shuqiao-cursor"]


def test_values_as_json_csv_and_excel_have_them(web: Served) -> None:
    live(web.broker, "a", "id_no birth_date division_code")
    live(web.broker, "b", "birth_date name", tier=3)
    client = web.client("a")
    value = json.loads(client.get(SNAPSHOT).text.splitlines()[0])["value"]
    assert value["birth_date"][4] == value["birth_date"][7] == "-" and len(value["id_no"]) == 18
    plain = client.get(SNAPSHOT, params={"format": "csv"})
    assert plain.content.startswith(b"\xef\xbb\xbfkey,id_no,")
    assert "attachment" in plain.headers["content-disposition"]
    assert "\t" not in plain.text
    excel = client.get(SNAPSHOT, params={"format": "excel"}).text
    assert "\t99" in excel and "\t3715" in excel and "\t19" not in excel.replace("\t99", "")


def test_changes_and_tombstones_follow_the_cursor(web: Served, tmp_path: Path) -> None:
    one = live(web.broker, "a", scope="371502001")
    client = web.client("a")
    answer = client.get(SNAPSHOT)
    held = values([json.loads(line) for line in answer.text.splitlines()])
    cursor = answer.headers["shuqiao-cursor"]
    change(tmp_path, web.broker, 1, xm="新名")
    change(tmp_path, web.broker, 2, xzqh=city.TOWNS[2])
    (page,) = pages(client, 100, cursor)
    assert [entry["value"] for entry in page["records"]].count(None) == 1
    held |= {entry["key"]: entry["value"] for entry in page["records"]}
    held = {key: value for key, value in held.items() if value is not None}
    assert held == wanted(web, one) and len(held) == 59
    (empty,) = pages(client, 100, page["cursor"])
    assert empty["records"] == [] and not empty["more"]


def test_a_waiting_request_is_answered_when_something_comes(web: Served, tmp_path: Path) -> None:
    live(web.broker, "a")
    client = web.client("a")
    *_, last = pages(client, 1_000)
    import threading

    timer = threading.Timer(0.5, change, (tmp_path, web.broker, 3), {"xm": "等"})
    timer.start()
    answer = client.get(RECORDS, params={"cursor": last["cursor"], "wait": 15})
    assert answer.elapsed.total_seconds() < 10, "as soon as it comes"
    timer.join()
    assert [one["value"]["name"] for one in answer.json()["records"]] == ["等"]
    assert (
        client.get(RECORDS, params={"cursor": answer.json()["cursor"], "wait": 1}).json()["records"]
        == []
    )


def test_events_come_one_by_one_and_go_on_from_their_id(web: Served, tmp_path: Path) -> None:
    one = live(web.broker, "a")
    client = web.client("a")
    held: list[dict[str, Any]] = []
    mark = ""
    with client.stream("GET", EVENTS) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith("data: "):
                held.append(json.loads(line[6:]))
            if line.startswith("id: "):
                mark = line[4:]
                if len(held) == 60:
                    change(tmp_path, web.broker, 5, xm="事")
                if len(held) > 60:
                    break
    assert values(held) == wanted(web, one)
    change(tmp_path, web.broker, 6, zxbz="1")
    with client.stream("GET", EVENTS, headers={"Last-Event-ID": mark}) as stream:
        event = next(line for line in stream.iter_lines() if line.startswith("data: "))
    assert json.loads(event[6:])["value"] is None


def test_nothing_of_others(web: Served) -> None:
    mine, other = live(web.broker, "a"), live(web.broker, "b", "hukou_addr")
    client = web.client("a")
    assert mine.share and other.share
    assert [one["share"] for one in client.get("/v1/shares").json()] == [mine.share.id]
    for what in ("records", "snapshot", "events"):
        foreign = refused(client.get(f"/v1/shares/{other.share.id}/{what}"), 40404)
        assert foreign == refused(client.get(f"/v1/shares/snobody99/{what}"), 40404)
        refused(client.get(f"/v1/datasets/wj.vaccination/{what}"), 40301)
        refused(client.get(f"/v1/datasets/no.such/{what}"), 40405)
    its = web.client("b").get(RECORDS).json()["cursor"]
    for wrong in (its, its[:-2], "x", "数", "AAAA"):
        refused(client.get(RECORDS, params={"cursor": wrong}), 40001)
    own = client.get(RECORDS).json()["cursor"]
    refused(client.get(f"/v1/shares/{other.share.id}/records", params={"cursor": own}), 40404)
    refused(client.get("/v1/datasets/wj.vaccination/records", params={"cursor": own}), 40001)
    for wrong_limit in ("0", "x", "5001"):
        refused(client.get(RECORDS, params={"limit": wrong_limit}), 42200)
    refused(client.get("/nothing/here"), 40400)
    refused(client.post("/v1/shares"), 40500)


def test_a_share_that_is_over_says_where_to_begin_again(web: Served) -> None:
    one = live(web.broker, "a", "name sex")
    client = web.client("a")
    cursor = client.get(RECORDS).json()["cursor"]
    assert one.share
    web.broker.sharing.suspend(one.grant.id, "r")
    for place in (RECORDS, f"/v1/shares/{one.share.id}/records"):
        body = refused(client.get(place, params={"cursor": cursor}), 41001)
        assert body["reload"] == SNAPSHOT
    refused(client.get(SNAPSHOT), 40301)
    web.broker.sharing.resume(one.grant.id, "r")
    refused(client.get(RECORDS), 50302)
    city.relay(web.broker)
    refused(client.get(RECORDS, params={"cursor": cursor}), 41001)
    assert len(client.get(body["reload"]).text.splitlines()) == 60


def test_a_cursor_older_than_the_tombstones(web: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    live(web.broker, "a")
    client = web.client("a")
    *_, last = pages(client, 1_000)
    assert client.get(RECORDS, params={"cursor": last["cursor"]}).status_code == 200
    monkeypatch.setattr(cursors, "DAYS", -1)
    body = refused(client.get(RECORDS, params={"cursor": last["cursor"]}), 41002)
    assert body["reload"] == SNAPSHOT


def test_a_cursor_counts_from_when_its_reader_was_last_at_the_end() -> None:
    day = 24 * 3600
    assert not cursors.Cursor("s", (1,), since=0).too_old(25 * day)
    assert cursors.Cursor("s", (1,), since=0).too_old(25 * day + 1)


def test_a_cursor_of_another_log_is_refused(web: Served) -> None:
    """As after the log was restored from a backup: the cursor is ahead of the share."""
    one = live(web.broker, "a")
    client = web.client("a")
    assert one.share
    ahead = cursors.Cursor(one.share.id, (10**6, 0, 0, 0), int(2e9))
    text = cursors.Cursors(web.broker.sealer).write(ahead, "a")
    refused(client.get(RECORDS, params={"cursor": text}), 41002)


def test_keys(web: Served) -> None:
    live(web.broker, "a")
    live(web.broker, "b")
    key = web.broker.api_keys.add("a")
    good = web.with_key(key)
    assert good.get("/v1/shares").status_code == 200
    assert key not in Path(web.broker.settings.state / "store.db").read_bytes().decode("latin-1")
    basic = b64encode(f"a:{key}".encode()).decode()
    anyone = web.with_key("")
    assert anyone.get("/v1/shares", headers={"Authorization": f"Basic {basic}"}).is_success
    for wrong in (
        "", "Bearer", f"Bearer {key}x", f"Bearer {key[:-1]}", "Basic !!!", "Digest a",
        "Basic " + b64encode(f"b:{key}".encode()).decode(),
        "Basic " + b64encode(f":{key}".encode()).decode(),
    ):  # fmt: skip
        answer = anyone.get("/v1/shares", headers={"Authorization": wrong})
        refused(answer, 40101)
        assert "www-authenticate" in answer.headers
    events = web.broker.settings.events_path.read_text()
    assert '"reason": "wrong_key"' in events and key[3:20] not in events
    name = key.split("_")[1]
    web.broker.api_keys.revoke(name)
    refused(good.get("/v1/shares"), 40101)


def test_wrong_keys_are_limited_and_right_ones_go_on(web: Served) -> None:
    live(web.broker, "a")
    bad, good = web.with_key("sq_00000000_" + "x" * 43), web.client("a")
    answers = [bad.get("/v1/shares") for _ in range(30)]
    assert [one.status_code for one in answers].count(401) <= 25
    late = answers[-1]
    refused(late, 42901)
    assert int(late.headers["retry-after"]) >= 1
    assert good.get("/v1/shares").status_code == 200
    events = [json.loads(one) for one in web.broker.settings.events_path.read_text().splitlines()]
    reasons = [one["reason"] for one in events if one["event"] == "AccessDenied"]
    statuses = [one.status_code for one in answers]
    assert reasons.count("wrong_key") == statuses.count(401)
    assert reasons.count("too_many") == statuses.count(429) == 30 - statuses.count(401)


def test_a_consumer_that_asks_too_often_waits(tmp_path: Path) -> None:
    with served(tmp_path, 5, http_requests_per_minute=10, http_streams=1) as web:
        live(web.broker, "a")
        live(web.broker, "b")
        a, b = web.client("a"), web.client("b")
        with a.stream("GET", EVENTS) as first:
            lines = first.iter_lines()
            next(lines)
            refused(a.get(SNAPSHOT), 42901)
        codes = [a.get("/v1/shares").status_code for _ in range(15)]
        assert codes.count(200) <= 10 and codes[-1] == 429
        assert b.get("/v1/shares").status_code == 200


def test_every_pull_is_recorded_and_stays(web: Served) -> None:
    one = live(web.broker, "a")
    client = web.client("a")
    (page,) = pages(client, 1_000)
    client.get(SNAPSHOT)
    with client.stream("GET", EVENTS, params={"cursor": page["cursor"]}):
        found = web.broker.pulls.newest(50, "a")
    assert one.share and {pulled.share for pulled in found} == {one.share.id}
    by_kind = {kind: sum(p.records for p in found if p.kind == kind) for kind in
               ("records", "snapshot")}  # fmt: skip
    assert by_kind == {"records": 60, "snapshot": 60}
    first = next(pulled for pulled in found if pulled.kind == "records")
    assert first.position_from == [0, 0, 0, 0] and sum(first.position_to) == 60
    everything = web.broker.pulls.newest(50)
    other = {name: "x" for name in ("at", "consumer", "api_key", "dataset", "share", "kind")}
    again = {"sequence": 1, "position_from": [], "position_to": [], "records": 0, **other}
    put = insert(pull).values(again)
    for statement in (
        update(pull).values(records=0), delete(pull), put.prefix_with("OR REPLACE"),
        put.prefix_with("OR IGNORE"), put, text("UPDATE OR REPLACE pull SET sequence = 2"),
        text("INSERT INTO pull SELECT * FROM pull WHERE true ON CONFLICT DO UPDATE SET records=0"),
    ):  # fmt: skip
        with pytest.raises(StoreError), web.broker.store.writing() as connection:
            connection.execute(statement)
    assert web.broker.pulls.newest(50)[-len(everything) :] == everything


def test_the_registry_knows_ones_own_subjects_alone(web: Served) -> None:
    mine, other = live(web.broker, "a"), live(web.broker, "b", "hukou_addr")
    assert mine.share and other.share
    client = web.client("a")
    subject = f"{mine.share.topic}-value"
    assert client.get("/subjects").json() == [subject]
    by_id = client.get(f"/schemas/ids/{mine.share.schema_id}", params={"subject": "x"}).json()
    assert json.loads(by_id["schema"]) == mine.share.schema and list(by_id) == ["schema"]
    assert client.get(f"/schemas/ids/{mine.share.schema_id}/schema").json() == mine.share.schema
    newest = client.get(f"/subjects/{subject}/versions/latest").json()
    assert newest == {
        "subject": subject, "id": mine.share.schema_id, "version": 1, "schema": by_id["schema"],
    }  # fmt: skip
    assert client.get(f"/subjects/{subject}/versions").json() == [1]
    assert client.get(f"/subjects/{subject}/versions/1/schema").json() == mine.share.schema
    named = [{"subject": subject, "version": 1}]
    assert client.get(f"/schemas/ids/{mine.share.schema_id}/versions").json() == named
    assert client.get(f"/schemas/ids/{mine.share.schema_id}/subjects").json() == [subject]
    assert client.get("/schemas/types").json() == ["AVRO"]
    assert client.get("/mode").json() == {"mode": "READONLY"}
    assert client.get("/config").json() == client.get(f"/config/{subject}").json()
    assert client.get(f"/associations/resources/-/{mine.share.topic}").json() == []
    refused(client.get(f"/subjects/{subject}/versions/2"), 40402)
    strange = f"{other.share.topic}-value"
    assert refused(client.get(f"/subjects/{strange}/versions"), 40401) == refused(
        client.get("/subjects/nothing/versions"), 40401
    )
    assert refused(client.get(f"/schemas/ids/{other.share.schema_id}"), 40403) == refused(
        client.get("/schemas/ids/999999"), 40403
    )
    refused(web.with_key("").get("/subjects"), 40101)


def test_health_and_headers(web: Served) -> None:
    client = web.with_key("")
    assert client.get("/livez").json() == {"status": "ok"}
    assert client.get("/readyz").json()["status"] == "ok"
    for path in ("/livez", "/openapi.json", "/v1/shares", "/nowhere"):
        assert client.get(path).headers.get("cache-control") == "no-store"
    (web.broker.settings.state / "keyring.json").chmod(0o600)


def test_the_front_door_says_where_to_go_and_nothing_more(web: Served) -> None:
    live(web.broker, "a")
    nobody = web.with_key("")
    front = nobody.get("/")
    assert front.status_code == 200 and front.headers["cache-control"] == "no-store"
    assert "README" in front.text and nobody.get(front.json()["interface"]).status_code == 200
    refused(nobody.get(front.json()["shares"]), 40101)
    assert front.text == web.client("a").get("/").text
    assert not any(word in front.text for word in ("ga.", "resident", "shared."))
    for path in ("/docs", "/nowhere"):
        assert "/openapi.json" in refused(nobody.get(path), 40400)["mend"]


def test_a_small_answer_does_not_wait_for_an_acknowledgement(web: Served) -> None:
    """Head and body leave apart: with Nagle's algorithm each answer took 40 ms."""
    client = web.with_key("")
    seconds = [client.get("/livez").elapsed.total_seconds() for _ in range(50)]
    assert min(seconds[25:]) < 0.02


def test_metrics_have_a_listener_of_their_own(tmp_path: Path) -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with served(tmp_path, 3, metrics_port=port) as web:
        live(web.broker, "a")
        web.client("a").get(RECORDS)
        text = httpx2.get(f"http://127.0.0.1:{port}/metrics").text
        assert 'shuqiao_pulled_records_total{dataset="ga.resident_base",kind="records"} 3.0' in text
        assert web.client("a").get("/metrics").status_code == 404


def test_the_answer_to_an_unforeseen_error_says_nothing(
    web: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(web.broker, "a")
    client = web.client("a")

    def fails(*_: Any) -> None:
        raise ValueError("SECRET")

    monkeypatch.setattr("broker.web.delivery.Delivery.page", fails)
    body = refused(client.get(RECORDS), 50001)
    assert "SECRET" not in str(body)
    until(lambda: "RequestFailed" in web.broker.settings.events_path.read_text())
    assert "SECRET" not in web.broker.settings.events_path.read_text()
