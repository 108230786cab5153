"""`shuqiao catalog`: the datasets, their items, and whether all is classified."""

import typer

from broker.bootstrap import opened
from broker.catalog import check_catalog
from broker.cli.output import OUTPUT

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """List the datasets."""
    with opened() as broker:
        datasets = list(broker.catalog.datasets.values())
        departments = broker.catalog.departments
    if OUTPUT.as_json:
        OUTPUT.document(
            [
                {
                    "dataset": one.id,
                    "title": one.title,
                    "items": len(one.items),
                    "presence": one.presence.name,
                    "sharing": one.sharing,
                    "deletes": one.deletes,
                }
                for one in datasets
            ]
        )
        return
    OUTPUT.table(
        [
            ("数据集", "dataset"), ("名称", "title"), ("数源部门", "department"),
            ("数据项", "items"),
            ("在册级别", "presence"), ("共享属性", "sharing"),
            ("删除如何得知", "deletes seen by"),
        ],
        [
            (
                one.id,
                one.title,
                OUTPUT.text(
                    departments[one.department].title, departments[one.department].title_en
                ),
                len(one.items),
                one.presence.name,
                one.sharing,
                one.deletes,
            )
            for one in datasets
        ],
        spare=("department", "sharing", "deletes seen by"),
    )  # fmt: skip


@app.command()
def show(dataset: str) -> None:
    """Show a dataset: its items with level, kind and concept."""
    with opened() as broker:
        found = broker.catalog.dataset(dataset)
    if OUTPUT.as_json:
        OUTPUT.document(
            {
                "dataset": found.id,
                "title": found.title,
                "primary_key": found.primary_key,
                "presence": found.presence.name,
                "sharing": found.sharing,
                "deletes": found.deletes,
                "catalogue": dict(found.attributes),
                "items": [
                    {
                        "item": item.name,
                        "title": item.title,
                        "kind": item.kind,
                        "level": item.level.name,
                        "type": item.logical,
                        "required": item.required,
                        "concept": item.concept,
                        "refers_to": item.refers_to,
                        "embeds": item.embeds,
                    }
                    for item in found.items
                ],
            }
        )
        return
    OUTPUT.say(
        f" {found.id} · 主键 {' + '.join(found.primary_key)}"
        f" · 在册级别 {found.presence.name} · {found.sharing} · 删除 {found.deletes}",
        f" {found.id} · key {' + '.join(found.primary_key)}"
        f" · presence {found.presence.name} · {found.sharing} · deletes {found.deletes}",
        strong=found.title,
    )
    OUTPUT.table(
        [
            ("数据项", "item"), ("名称", "title"), ("级别", "level"), ("种类", "kind"),
            ("类型", "type"), ("必填", "required"), ("引自", "refers to"), ("含有", "embeds"),
        ],
        [
            (
                item.name,
                item.title,
                item.level.name,
                item.kind,
                item.logical,
                "✓" if item.required else "",
                item.refers_to,
                ", ".join(item.embeds),
            )
            for item in found.items
        ],
        spare=("refers to", "required", "type"),
    )  # fmt: skip


@app.command()
def check() -> None:
    """Refuse what is not classified, naming file and field."""
    with opened() as broker:
        findings = check_catalog(broker.settings.schemas)
    if OUTPUT.as_json:
        OUTPUT.document(
            [
                {"file": one.file, "field": one.field, "what": one.what, "mend": one.mend}
                for one in findings
            ]
        )
    elif findings:
        for one in findings:
            OUTPUT.say(str(one), str(one), sign="✗")
    else:
        OUTPUT.say("目录无误", "the catalogue is in order", sign="✓")
    if findings:
        raise typer.Exit(1)
