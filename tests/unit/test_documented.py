"""Every event, metric, setting and command is in the documentation."""

import re
from pathlib import Path

import typer

from broker.cli.main import app
from broker.settings import Settings, load_settings
from broker.telemetry import EVENTS, Telemetry, event_fields

ROOT = Path(__file__).parents[2]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")


def test_every_event_and_metric() -> None:
    for event in EVENTS:
        row = next((one for one in CONTRIBUTING.splitlines() if f"`{event.__name__}`" in one), "")
        metric = event.METRIC if event.GAUGE else f"{event.METRIC}_total"
        assert f"`{metric}`" in row, f"{event.__name__} is not documented"
        for name in event_fields(event):
            assert f"`{name}`" in row, f"{event.__name__}.{name} is not documented"
        assert set(event.LABELS) <= set(event_fields(event))
        assert event.HELP


def test_one_event_is_one_line_and_one_metric(tmp_path: Path) -> None:
    telemetry = Telemetry(tmp_path / "events.jsonl")
    values = {"dataset": "d", "source": "s", "reason": "r", "where": "w", "grant": "g",
              "share": "s", "policy_version": "v"}  # fmt: skip
    for number, event in enumerate(EVENTS, 1):
        fields = {name: values.get(name, 3) for name in event_fields(event)}
        telemetry.emit(event(**fields))
        lines = (tmp_path / "events.jsonl").read_text("utf-8").splitlines()
        assert len(lines) == number and f'"event":"{event.__name__}"' in lines[-1].replace(" ", "")
        assert event.METRIC in telemetry.metrics().decode()
    telemetry.close()


def test_every_setting() -> None:
    for name, field in Settings.model_fields.items():
        assert f"| `{name}` |" in CONTRIBUTING, f"the setting {name} is not documented"
        assert field.description


def test_every_command() -> None:
    click = typer.main.get_command(app)
    for name, command in click.commands.items():  # type: ignore[attr-defined]
        for inner in getattr(command, "commands", {"": None}):
            words = f"{name} {inner}".strip()
            assert re.search(rf"`?\./run {words}\b", README), f"{words} is not in README.md"


def test_a_wrong_setting_is_named_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "shuqiao.yaml"
    for text, says in (
        ("colour: red\n", "colour"),
        ("timezone: SECRET\n", "timezone"),
        ("batch: SECRET\n", "batch"),
    ):
        file.write_text(text)
        try:
            load_settings(file)
        except Exception as error:  # noqa: BLE001
            assert type(error).__name__ == "SettingsError"
            assert says in str(error) and "SECRET" not in str(error)
        else:
            raise AssertionError(text)
    file.write_text("batch: 77\n")
    assert load_settings(file).batch == 77
