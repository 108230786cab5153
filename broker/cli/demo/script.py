"""Who asks for what in the demo: consumers, relaxes and grants, as data.

Law: nothing here is decided; the policy decides. Legal bases are examples and say so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

EXAMPLE = "（示例）"


@dataclass(frozen=True, slots=True)
class DemoConsumer:
    """A consumer of the demo."""

    id: str
    department: str
    tier: str
    title: str


@dataclass(frozen=True, slots=True)
class DemoGrant:
    """A grant of the demo; `expired` ends it yesterday."""

    consumer: str
    dataset: str
    items: str
    purpose: str
    basis: str
    scope: str
    minors: str = ""
    expired: bool = False


CONSUMERS = (
    DemoConsumer("grid_dongchangfu", "grid", "T2", "东昌府区网格化平台"),
    DemoConsumer("town_gulou", "town", "T3", "古楼街道民生窗口"),
    DemoConsumer("mz_verify", "mz", "T3", "民政身份核验"),
    DemoConsumer("wj_planning", "wj", "T3", "卫健康复规划"),
    DemoConsumer("grid_expired", "fixture", "T2", "已到期的应用"),
)

GRANTS = (
    DemoGrant(
        "grid_dongchangfu",
        "ga.resident_base",
        "id_no,name,sex,birth_date,hukou_addr,division_code,status",
        "网格人口底数",
        f"《政务数据共享条例》第二十条{EXAMPLE}",
        "371502",
    ),
    DemoGrant(
        "grid_dongchangfu",
        "wj.family_doctor_contract",
        "id_no,team_code,valid_until,division_code",
        "签约服务到期提醒",
        f"《政务数据共享条例》第二十条{EXAMPLE}",
        "371502",
    ),
    DemoGrant(
        "grid_dongchangfu",
        "mz.subsistence_allowance",
        "name,status,division_code",
        "网格走访",
        f"《政务数据共享条例》第二十条{EXAMPLE}",
        "371502",
    ),
    DemoGrant(
        "town_gulou",
        "mz.subsistence_allowance",
        "name,cert_no,household_size,category,monthly_amount,cause,status,division_code",
        "低保初审与公示",
        f"《社会救助暂行办法》第十一条{EXAMPLE}",
        "371502001",
    ),
    DemoGrant(
        "town_gulou",
        "wj.vaccination",
        "name,guardian_name,birth_date,overdue,vaccine_code,division_code",
        "接种提醒",
        f"《疫苗管理法》第四十八条{EXAMPLE}",
        "371502001",
        minors=f"《疫苗管理法》第四十七条{EXAMPLE}",
    ),
    DemoGrant(
        "mz_verify",
        "ga.resident_base",
        "id_no,name,status,division_code",
        "救助对象身份核验",
        f"《社会救助暂行办法》第五十八条{EXAMPLE}",
        "3715",
    ),
    DemoGrant(
        "wj_planning",
        "mz.disability_subsidy",
        "id_no,name,grade,disability_type,amount,pay_month,division_code",
        "残疾人康复规划",
        f"《残疾预防和残疾人康复条例》第八条{EXAMPLE}",
        "3715",
    ),
    DemoGrant(
        "grid_expired",
        "ga.resident_base",
        "id_no,name,division_code",
        "已结束的专项排查",
        f"《政务数据共享条例》第二十条{EXAMPLE}",
        "3715",
        expired=True,
    ),
)

NEIGHBOUR = DemoConsumer("grid_shenxian", "grid", "T2", "莘县网格化平台")
"""Joins when the demo goes on: who moves to its county leaves one share and enters another."""

NEIGHBOURS = DemoGrant(
    NEIGHBOUR.id,
    "ga.resident_base",
    "id_no,name,sex,birth_date,hukou_addr,division_code,status",
    "莘县网格人口底数",
    f"《政务数据共享条例》第二十条{EXAMPLE}",
    "371522",
)

_RELAXES = """\
# 演示用的放宽，各有申请人、批准人、理由和截止日
rules:
  - id: demo-allowance-presence
    title: 街道办理低保初审，在册级别按 L3
    reason: 低保的受理和初审就在街道，只限本街道。
    owner: mz
    author: steward_mz
    approver: officer_mz
    expires: {expires}
    relax: {{datasets: [mz.subsistence_allowance], consumers: [town_gulou], presence: L3}}

  - id: demo-overdue-keep
    title: 接种提醒可见是否逾期
    reason: 不知道谁逾期就无法提醒；不涉及是哪一种疫苗。
    owner: wj
    author: steward_wj
    approver: officer_wj
    expires: {expires}
    relax: {{datasets: [wj.vaccination], items: [overdue], consumers: [town_gulou], at_least: keep}}

  - id: demo-grade-keep
    title: 康复规划可见残疾等级
    reason: 按等级测算康复资源；不涉及残疾类别和姓名。
    owner: mz
    author: steward_mz
    approver: officer_mz
    expires: {expires}
    relax:
      datasets: [mz.disability_subsidy]
      items: [grade]
      consumers: [wj_planning]
      at_least: keep
"""


def relaxes(today: date) -> str:
    """The demo's relaxes as a rule file, ending a year from today."""
    return _RELAXES.format(expires=today + timedelta(days=365))


def commands(
    today: date,
    consumers: Sequence[DemoConsumer] = CONSUMERS,
    grants: Sequence[DemoGrant] = GRANTS,
) -> list[list[str]]:
    """The ordinary commands that make consumers and grants."""
    made = [
        ["consumer", "add", one.id, "--department", one.department, "--tier", one.tier,
         "--title", one.title]
        for one in consumers
    ]  # fmt: skip
    for grant in grants:
        since = today - timedelta(days=400 if grant.expired else 0)
        until = today + timedelta(days=-1 if grant.expired else 365)
        words = [
            "grant", "add", grant.consumer, grant.dataset, "--items", grant.items,
            "--purpose", grant.purpose, "--basis", grant.basis, "--scope", grant.scope,
            "--since", since.isoformat(), "--until", until.isoformat(),
            "--impact", f"PIA-{grant.consumer}{EXAMPLE}", "--notice", f"告知书{EXAMPLE}",
        ]  # fmt: skip
        made.append([*words, *(["--minors", grant.minors] if grant.minors else [])])
    return made
