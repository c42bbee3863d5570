"""``testbed mape``: MAP-E arithmetic at the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli import completion
from testbed.cli.arguments import TOOLS, Json
from testbed.cli.output import bold, facts, faint, say, say_json

if TYPE_CHECKING:
    from testbed.components.mape.calc import MapParameters

_LINE = 72

commands = typer.Typer(no_args_is_help=True, help="MAP-E (RFC 7597) arithmetic.")


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.add_typer(commands, name="mape", rich_help_panel=TOOLS)


@commands.callback()
def _group() -> None:
    """MAP-E (RFC 7597) arithmetic."""


@commands.command()
def calc(
    *,
    prefixes: Annotated[
        list[str],
        typer.Argument(
            metavar="PREFIX...",
            help="Delegated IPv6 prefixes, such as 240b:10:1234:4700::/56.",
            show_default=False,
        ),
    ],
    rules: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Rule table: v6plus, ocn, biglobe or nuro.  [default: all of them]",
            autocompletion=completion.rule_tables,
        ),
    ] = None,
    rule: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="A rule of your own, as in ipv6=2400:4153:9400::/38,ipv4=180.26.176.0/20,ea=18; "
            "more keys: offset (6 if not given), psid, psidlen, br.",
        ),
    ] = None,
    iid: Annotated[
        str | None,
        typer.Option(
            metavar="draft03|rfc7597",
            help="Layout of the interface identifier.  [default: the table's; rfc7597 with --rule]",
        ),
    ] = None,
    keep_subnet: Annotated[
        bool,
        typer.Option("--keep-subnet", help="Keep the subnet bits behind the EA bits, not zeros."),
    ] = False,
    as_json: Json = False,
) -> None:
    """IPv4 address, PSID, ports, CE address and BR of a delegated prefix."""
    from testbed.components.mape.describe import as_json as plain

    if rules is not None and rule is not None:
        raise typer.BadParameter("give either --rules or --rule", param_hint="--rule")
    found = [_calculate(prefix, rules, rule, iid, keep=keep_subnet) for prefix in prefixes]
    if as_json:
        data = [plain(parameters) for parameters in found]
        say_json(data[0] if len(data) == 1 else data)
    else:
        say("\n\n".join(_describe(parameters) for parameters in found))


def _calculate(
    prefix: str, rules: str | None, rule: str | None, iid: str | None, *, keep: bool
) -> MapParameters:
    from testbed.components.mape.calc import calculate, parse_prefix
    from testbed.components.mape.describe import parse_rule
    from testbed.components.mape.iid import IidLayout, parse_layout
    from testbed.components.mape.tables import all_shipped, shipped_table

    delegated = parse_prefix(prefix)
    if rule is not None:
        chosen, layout = parse_rule(rule), IidLayout.RFC7597
    else:
        table = all_shipped() if rules is None else shipped_table(rules).table
        chosen = table.for_prefix(delegated)
        layout = shipped_table(chosen.name).iid
    if iid is not None:
        layout = parse_layout(iid)
    return calculate(delegated, chosen, iid=layout, keep_subnet=keep)


def _describe(parameters: MapParameters) -> str:
    rule = parameters.rule
    name = f"{rule.name}: " if rule.name else ""
    lines = [
        (
            "rule",
            f"{name}{rule.ipv6_prefix} -> {rule.ipv4_prefix}, EA {rule.ea_len} bits, "
            f"PSID offset {parameters.psid_offset}",
        ),
        ("IPv4", _address(parameters)),
    ]
    if parameters.psid_len:
        psid = f"{parameters.psid} (0x{parameters.psid:x}), {parameters.psid_len} bits"
        lines.append(("PSID", psid))
    ranges = list(parameters.ports.ranges())
    number = sum(last - first + 1 for first, last in ranges)
    lines.append(("ports", f"{number} in {len(ranges)} ranges" if len(ranges) > 1 else f"{number}"))
    lines += [
        ("", line) for line in _wrapped([f"{a}-{b}" if a != b else f"{a}" for a, b in ranges])
    ]
    lines.append(
        ("CE", f"{parameters.ce_ipv6}  {faint(f'(interface identifier {parameters.iid})')}")
    )
    lines.append(("BR", "not in the rule" if parameters.br is None else str(parameters.br)))
    return f"{bold(str(parameters.delegated))}\n{facts(lines)}"


def _address(parameters: MapParameters) -> str:
    if parameters.rule.assigned_len < 32:
        return f"{parameters.ipv4_prefix} (the CE's own prefix)"
    if not parameters.psid_len:
        return f"{parameters.ipv4} (not shared)"
    return f"{parameters.ipv4} (shared by up to {1 << parameters.psid_len} CEs)"


def _wrapped(words: list[str]) -> list[str]:
    """Words in lines of equal columns."""
    size = max((len(word) for word in words), default=0)
    per_line = max(1, _LINE // (size + 2))
    return [
        "  ".join(word.ljust(size) for word in words[at : at + per_line]).rstrip()
        for at in range(0, len(words), per_line)
    ]
