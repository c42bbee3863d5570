"""Faults on demand."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from testbed.cli import completion, talk
from testbed.cli.arguments import LABS, Lab
from testbed.cli.output import say

if TYPE_CHECKING:
    from testbed.model.impairment import Impairment

T = TypeVar("T")


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("fault", rich_help_panel=LABS)(fault)


def fault(
    lab: Lab,
    *,
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="cut, restore, impair, flush-addresses, set-addresses, kill-service, "
            "restart-service or reboot.",
            autocompletion=completion.fault_kinds,
            show_default=False,
        ),
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="A link, a node:interface, a node/service or a node, as the kind needs it.",
            autocompletion=completion.fault_targets,
            show_default=False,
        ),
    ],
    addresses: Annotated[
        list[str] | None,
        typer.Option(
            "--address", metavar="ADDRESS/LENGTH", help="For set-addresses: the new ones."
        ),
    ] = None,
    rate: Annotated[str | None, typer.Option(help="For impair: 100mbit.")] = None,
    delay: Annotated[str | None, typer.Option(help="For impair, one way: 20ms.")] = None,
    jitter: Annotated[str | None, typer.Option(help="For impair: 5ms.")] = None,
    loss: Annotated[str | None, typer.Option(help="For impair: 1%.")] = None,
    reorder: Annotated[str | None, typer.Option(help="For impair: 1%.")] = None,
    duplicate: Annotated[str | None, typer.Option(help="For impair: 1%.")] = None,
    corrupt: Annotated[str | None, typer.Option(help="For impair: 0.1%.")] = None,
) -> None:
    """Put a fault on a lab, or lift it.

    Links are cut, restored and impaired; interfaces lose or change addresses; services are killed
    and restarted; nodes reboot. An impair without options mends the link.
    """
    from testbed.model import fault as model

    if kind not in model.FAULT_KINDS:
        raise typer.BadParameter(
            f"{kind!r} is not a kind of fault ({', '.join(model.FAULT_KINDS)})", param_hint="KIND"
        )
    if (kind == model.SET_ADDRESSES) != bool(addresses):
        raise typer.BadParameter(
            "set-addresses needs it, and nothing else takes it", param_hint="--address"
        )
    message: dict[str, Any] = {
        "do": "fault",
        "kind": kind,
        "target": target,
        "addresses": _checked(addresses),
    }
    impairment = _impairment(
        rate=rate,
        delay=delay,
        jitter=jitter,
        loss=loss,
        reorder=reorder,
        duplicate=duplicate,
        corrupt=corrupt,
    )
    done = kind
    if kind == model.IMPAIR:
        message["impairment"] = _fields(impairment)
        done = "impair" if impairment.rate or impairment.needs_netem else "mend"
    elif impairment.rate or impairment.needs_netem:
        raise typer.BadParameter("rate, delay, loss and the like are for impair", param_hint=kind)
    talk.ask(lab, message)
    say(f"{lab}: {done} {target}" + "".join(f" {one}" for one in addresses or ()))


def _checked(addresses: list[str] | None) -> list[str]:
    from testbed.model.topology import parse_address

    return [str(_read("--address", one, parse_address)) for one in addresses or ()]


def _impairment(
    *,
    rate: str | None,
    delay: str | None,
    jitter: str | None,
    loss: str | None,
    reorder: str | None,
    duplicate: str | None,
    corrupt: str | None,
) -> Impairment:
    from testbed.model.impairment import Impairment
    from testbed.model.text_forms import parse_fraction, parse_rate, parse_seconds

    return Impairment(
        rate=None if rate is None else _read("--rate", rate, parse_rate),
        delay=_read("--delay", delay or "0s", parse_seconds),
        jitter=_read("--jitter", jitter or "0s", parse_seconds),
        loss=_read("--loss", loss or "0%", parse_fraction),
        reorder=_read("--reorder", reorder or "0%", parse_fraction),
        duplicate=_read("--duplicate", duplicate or "0%", parse_fraction),
        corrupt=_read("--corrupt", corrupt or "0%", parse_fraction),
    )


def _read(option: str, text: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _fields(impairment: Impairment) -> dict[str, Any]:
    return {name: getattr(impairment, name) for name in type(impairment).__dataclass_fields__}
