"""`shuqiao demo`: the whole path on sample departments, shown while it happens.

Law: the demo does nothing that its reader could not type: consumers and grants come
from the ordinary commands, relaxes from a rule file, collecting and relaying from the
same functions as `connect run` and `relay`. It works in a folder of its own, and
makes none anew in which anybody is at work.
"""

import os
import shutil
import time
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from broker.bootstrap import Broker, opened
from broker.cli.connect import collect, show_reports
from broker.cli.demo.engine import ENGINE, EngineName, engine
from broker.cli.demo.live import go_on
from broker.cli.demo.residents import live_keys, show, views
from broker.cli.demo.script import NEIGHBOUR, NEIGHBOURS, commands, relaxes
from broker.cli.output import OUTPUT, configure
from broker.cli.relay import relay_all, show_progress
from broker.errors import SettingsError
from broker.hold import Presence
from broker.projection.projector import KERNEL, chosen
from broker.quarantine import Quarantine
from broker.settings import Settings, load_settings
from connectors.runner import Report
from connectors.samples import mappings
from connectors.samples.build import Expected, build
from connectors.samples.population import ADULT, CHILD, Population

MARK = ".shuqiao-demo"
"""Names a folder as the demo's own: only such a folder is emptied."""


def demo(
    ctx: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="stop when everything is shown")] = False,
    people: Annotated[int, typer.Option(min=2, help="how many residents to invent")] = 10_000,
    seed: Annotated[int, typer.Option(help="another seed, other residents")] = 1,
    mess: Annotated[
        float, typer.Option(min=0, max=0.05, help="share of rows spoilt in each way")
    ] = 0.001,
    state: Annotated[Path, typer.Option(help="the demo's own folder")] = Path(".state/demo"),
    on: Annotated[
        EngineName, typer.Option("--engine", help="files, or a Kafka and a PostgreSQL of its own")
    ] = EngineName.EMBEDDED,
    lang: Annotated[str, typer.Option(help="zh | en")] = "",
    json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Build three departments, collect, decide, mask, share; then look at two residents."""
    as_json = json or OUTPUT.as_json
    configure(lang, as_json)
    OUTPUT.as_json = False
    started = time.monotonic()
    os.environ["SHUQIAO_STATE"] = str(state)
    os.environ["SHUQIAO_SETTLE_SECONDS"] = "0"
    presence = Presence(load_settings().holds_path)
    _empty(state, presence)
    ctx.with_resource(presence.among())
    ctx.with_resource(engine(on, state / ENGINE))
    with opened() as broker:
        today = broker.today
        _projection()
        OUTPUT.head("一 三个部门，各有各的系统", "1  Three departments, each with its own system")
        expected = _departments(broker, people, seed, mess, today)
        OUTPUT.head("二 一次采集", "2  Collected once")
        reports = collect(broker)
        show_reports(reports)
        _check_sums(reports, expected)
        OUTPUT.head("三 策略与授权", "3  Policy and grants")
        _relax(broker.settings, today)
    for words in (["policy", "check"], *commands(today)):
        _type(ctx, words)
    with opened() as broker:
        OUTPUT.head("四 逐项决定、脱敏、分发", "4  Decided item by item, masked, shared")
        show_progress(relay_all(broker))
        _residents(broker, people, seed, today)
        _next(state, time.monotonic() - started, on, once)
        if as_json:
            OUTPUT.document(_document(broker, time.monotonic() - started))
    if once or as_json:
        return
    for words in commands(today, [NEIGHBOUR], [NEIGHBOURS]):
        _type(ctx, words)
    with opened() as broker:
        go_on(broker, Population(people, seed, today, broker.divisions), seed)


def _projection() -> None:
    """By what records are projected, as everything seems slow where that is the reference."""
    if chosen().by == KERNEL:
        OUTPUT.say("投影由内核执行", "records are projected by the kernel", sign="✓")
        return
    OUTPUT.say(
        "投影由参考实现执行：结果相同，但慢得多；原因和办法见 ./run doctor",
        "records are projected by the reference: the same, but much slower; ./run doctor says why "
        "and what to do",
        sign="○",
    )


def _empty(state: Path, presence: Presence) -> None:
    if state.exists() and any(state.iterdir()):
        if not (state / MARK).exists():
            raise SettingsError(
                "the folder is not the demo's", where=str(state), mend="name another with --state"
            )
        with presence.alone():
            shutil.rmtree(state)
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    (state / MARK).touch()


def _departments(broker: Broker, people: int, seed: int, mess: float, today: date) -> Expected:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    quiet = not OUTPUT.console.is_terminal
    with Progress(*columns, console=OUTPUT.console, transient=True, disable=quiet) as bars:
        bar = bars.add_task(OUTPUT.text("虚构居民", "inventing residents"), total=people)
        expected = build(
            broker.settings.sources_path,
            people=people,
            seed=seed,
            as_of=today,
            divisions=broker.divisions,
            mess=mess,
            progress=lambda done: bars.update(bar, completed=done),
        )
    _arrived_at_midnight(broker.settings, today)
    shutil.copytree(
        Path(next(iter(mappings.__path__))),
        broker.settings.mappings_path,
        ignore=shutil.ignore_patterns("*.py", "__pycache__"),
    )
    OUTPUT.say(
        f"  {people} 位虚构居民（身份证号以 99 开头，不对应任何真人），同一批人分散在：\n"
        "  · 公安 8 个县区各一个数据库：人口基础信息、居住证\n"
        "  · 民政的 GB18030 CSV 文件：最低生活保障、残疾人两项补贴\n"
        "  · 卫健的数据库，列名、代码和时区都不同：预防接种、家庭医生签约\n"
        "  里面故意放了错行：错的校验码、不存在的日期和区划、乱码、重复、放错位置的号码",
        f"  {people} invented residents (ID numbers begin with 99: nobody's), the same people in\n"
        "  · public security 公安: a database for each of 8 counties: residents, permits\n"
        "  · civil affairs 民政: CSV files in GB18030: allowances, disability subsidies\n"
        "  · health 卫健: databases with other names, codes and zone: vaccinations, contracts\n"
        "  Wrong rows are in it on purpose: check digits, dates, divisions, bytes, duplicates, "
        "misplaced numbers",
    )
    return expected


def _arrived_at_midnight(settings: Settings, today: date) -> None:
    """The drops lie there since the city's midnight: what is written just now would wait."""
    moment = datetime.combine(today, datetime.min.time(), settings.zone).timestamp()
    for file in settings.sources_path.rglob("*.csv"):
        os.utime(file, (moment, moment))


def _check_sums(reports: dict[str, list[Report]], expected: Expected) -> None:
    """Rows generated = collected + quarantined + declared duplicates, for every dataset."""
    for dataset, wanted in expected.items():
        counts = [report.counts for report in reports[dataset]]
        found = {
            "rows": sum(one.rows for one in counts),
            "live_keys": sum(one.appended - one.superseded - one.deleted for one in counts),
            "quarantined": sum(one.quarantined for one in counts),
            "duplicates": sum(one.duplicates + one.superseded for one in counts),
        }
        wrong = [name for name, number in found.items() if number != wanted[name]]
        stopped = [str(report.error) for report in reports[dataset] if report.error]
        if wrong or stopped:
            raise SettingsError(
                f"{dataset}: {', '.join(wrong)} do not add up {' '.join(stopped)}",
                mend="this is a fault of ShuQiao: please report it with the seed",
            )
    OUTPUT.say(
        "每个数据集：产生的行 = 归集 + 隔离 + 重复，一行不丢；归集主题里全部加密，键是带密钥的散列",
        "for every dataset rows = collected + quarantined + duplicates: none "
        "is lost; in the collected topics everything is sealed, keys are keyed hashes",
        sign="✓",
    )


def _relax(settings: Settings, today: date) -> None:
    folder = settings.local_policies / "rules"
    folder.mkdir(parents=True)
    (folder / "demo.yaml").write_text(relaxes(today), "utf-8")
    OUTPUT.say(
        f"  三条放宽写在 {folder / 'demo.yaml'}：各有理由、申请人、另一位批准人，一年后失效",
        f"  three relaxes are in {folder / 'demo.yaml'}: each with reason, author, another "
        "approver, ending in a year",
    )


def _type(ctx: typer.Context, words: list[str]) -> None:
    """Type an ordinary command."""
    shown = " ".join(f'"{word}"' if " " in word or "《" in word else word for word in words)
    OUTPUT.command(f"./run {shown}")
    ctx.find_root().command.main(words, standalone_mode=False)


def _residents(broker: Broker, people: int, seed: int, today: date) -> None:
    population = Population(people, seed, today, broker.divisions)
    seen = views(broker)
    show(
        broker,
        population.person(ADULT),
        OUTPUT.text(
            "五 古楼街道的一位成年居民：原始记录，和每个使用方得到的",
            "5  An adult of 古楼街道: the records, and what each consumer gets",
        ),
        seen,
    )
    show(
        broker,
        population.person(CHILD),
        OUTPUT.text(
            "六 古楼街道的一个孩子，有一针逾期未种",
            "6  A child of 古楼街道 with an overdue vaccination",
        ),
        seen,
    )


def _next(state: Path, seconds: float, on: EngineName, once: bool) -> None:
    if on is EngineName.KAFKA and once:
        OUTPUT.head(f"用时 {seconds:.1f} 秒", f"{seconds:.1f} s")
        OUTPUT.say(
            "  Kafka 和 PostgreSQL 随演示结束；不加 --once 则一直运行，可在另一个终端用各命令",
            "  Kafka and PostgreSQL end with the demo; without --once they go on, and every "
            "command can be used in another terminal",
        )
        return
    OUTPUT.head(f"用时 {seconds:.1f} 秒。接下来可以试", f"{seconds:.1f} s. What to try next")
    words = [
        ("./run share list", "谁能读哪个共享主题", "who may read which shared topic"),
        (
            "./run policy explain wj_planning mz.disability_subsidy",
            "逐项看为什么",
            "why, item by item",
        ),
        ("./run policy matrix", "全部授权的矩阵", "the matrix of all grants"),
        (
            "./run quarantine show mz.subsistence_allowance",
            "错行在哪个文件哪一行、怎么改",
            "which file and line is wrong, and how to mend it",
        ),
        ("./run connect preview mz_dibao", "不看内容，只看形状", "shapes, not contents"),
        ("./run catalog show wj.vaccination", "数据项的级别和种类", "levels and kinds"),
    ]
    if on is EngineName.KAFKA:
        line = f"  cat {state / ENGINE / 'shuqiao.yaml'} >> shuqiao.yaml"
        OUTPUT.say(line, line)
    OUTPUT.say(f"  export SHUQIAO_STATE={state}", f"  export SHUQIAO_STATE={state}")
    for command, zh, en in words:
        OUTPUT.say(f"  {command:58} # {zh}", f"  {command:58} # {en}")


def _document(broker: Broker, seconds: float) -> dict[str, Any]:
    datasets = broker.catalog.datasets
    outcomes = broker.sharing.settle()
    return {
        "collected": {
            name: live_keys(broker, dataset.collected_topic) for name, dataset in datasets.items()
        },
        "quarantined": {
            name: len(Quarantine(dataset, broker.sealer).entries(broker.log, 10**9))
            for name, dataset in datasets.items()
        },
        "shares": [
            {
                "consumer": one.grant.consumer.id,
                "dataset": one.grant.dataset,
                "topic": one.share.topic,
                "records": live_keys(broker, one.share.topic),
                "items": {name: str(one.decision.effects[name]) for name in one.grant.items},
            }
            for one in outcomes
            if one.share is not None
        ],
        "seconds": round(seconds, 2),
    }
