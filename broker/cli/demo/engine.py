"""What the demo runs on: files of its own, or an Apache Kafka and a PostgreSQL of its own.

Law: they are started anew and end with the demo, however it ends; settings that name others are
not looked at.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from broker.cli.output import OUTPUT
from broker.errors import SettingsError
from broker.marked import load_marked

ENGINE = "engine"
"""The folder, in the demo's, of the Kafka and the PostgreSQL that it runs on."""

_ROOT = Path(__file__).parents[3]
_ON_CLUSTER = (
    "kafka_servers", "kafka_user", "kafka_password_file", "kafka_ca", "store",
    "store_password_file",
)  # fmt: skip


class EngineName(StrEnum):
    """Which there are."""

    EMBEDDED = "embedded"
    KAFKA = "kafka"


@contextmanager
def engine(name: EngineName, folder: Path) -> Iterator[None]:
    """Until the block ends, the settings of this process and its children name the engine's; the
    folder keeps what it is made of."""
    if name is EngineName.EMBEDDED:
        for setting in _ON_CLUSTER:
            os.environ[f"SHUQIAO_{setting.upper()}"] = ""
        yield
        return
    if not (_ROOT / "deploy" / "beside.py").exists():
        raise SettingsError(
            "what starts a Kafka is not installed with the program",
            mend="run the demo from the source tree: `./run demo --engine kafka`",
        )
    OUTPUT.say("正在启动 Kafka 和 PostgreSQL …", "starting a Kafka and a PostgreSQL …", sign="○")
    beside = subprocess.Popen(
        [sys.executable, "-m", "deploy.beside", str(folder.absolute())],
        cwd=_ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert beside.stdin and beside.stdout
    try:
        said = beside.stdout.readline().strip()
        if said != "ready":
            raise SettingsError(
                said or "Kafka and PostgreSQL do not start",
                where="--engine kafka",
                mend="install Java 17, Maven and PostgreSQL",
            )
        for setting, value in load_marked(folder / "shuqiao.yaml", SettingsError).items():
            os.environ[f"SHUQIAO_{setting.upper()}"] = str(value)
        yield
    finally:
        beside.stdin.close()
        beside.wait()


def files_of(log: Path, folder: Path) -> Sequence[Path]:
    """Every file in which the log's records may stand: of the embedded log at `log`, or of the
    Kafka in the folder."""
    if folder.exists():
        return [
            Path(place) / name
            for place, _, names in os.walk(folder / "kafka")  # folders may go meanwhile
            for name in names
            if name.endswith(".log") and name != "output.log"
        ]
    return [log, log.with_name(f"{log.name}-wal")]
