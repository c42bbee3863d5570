"""The doctor's report for a person: every state in words as well as in colour."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from testbed.doctor.capability import Capability, Kind, State
from testbed.doctor.effects import Effect
from testbed.doctor.report import DoctorReport

_STYLE = {State.YES: "green", State.LIMITED: "yellow", State.NO: "red"}
_HEADINGS = {
    Kind.MACHINE: "This machine, for this user",
    Kind.KERNEL: "Kernel",
    Kind.PROGRAM: "Programs",
}


def render(report: DoctorReport, *, full: bool = True) -> RenderableType:
    """Everything; with ``full=False`` only what is not in order, and what to do about it."""
    return Group(*_parts(report, full))


def _parts(report: DoctorReport, full: bool) -> Iterator[RenderableType]:
    if full:
        yield _facts(report)
    for kind, heading in _HEADINGS.items():
        capabilities = report.of_kind(kind)
        shown = [c for c in capabilities if full or c.state is not State.YES]
        if shown:
            yield _heading(heading)
            yield Padding(_table(shown), (0, 0, 0, 2))
    if report.affected:
        yield _heading("Scenarios affected")
        yield Padding(_effects(report.affected), (0, 0, 0, 2))
    remedies = report.remedies()
    if remedies:
        yield _heading("What to do")
        for remedy in remedies:
            yield _hanging(f"{remedy.action}", f"for {', '.join(remedy.capabilities)}")
    yield Text()
    yield Text(report.summary(), style=_summary_style(report))


def _heading(text: str) -> Text:
    return Text(f"\n{text}", style="bold")


def _grid(*ratios: int | None) -> Table:
    grid = Table.grid(padding=(0, 2))
    for ratio in ratios:
        # Names and states stay whole; only the long columns wrap.
        grid.add_column(ratio=ratio, no_wrap=ratio is None, overflow="fold")
    return grid


def _facts(report: DoctorReport) -> Table:
    grid = _grid(None, 1)
    for fact in report.facts:
        grid.add_row(Text(fact.name, style="bold"), Text(fact.value))
    return grid


def _table(capabilities: Iterable[Capability]) -> Table:
    grid = _grid(None, None, 3, 4)
    for capability in capabilities:
        grid.add_row(
            Text(capability.state.value, style=_STYLE[capability.state]),
            Text(capability.name),
            Text(capability.purpose, style="dim"),
            Text(capability.detail),
        )
    return grid


def _effects(effects: Iterable[Effect]) -> Table:
    grid = _grid(None, 2, 3)
    for effect in effects:
        word, style = ("skipped", "red") if not effect.can_run else ("limited", "yellow")
        reasons = [f"no {name}" for name in effect.missing]
        reasons += [f"{name} limited" for name in effect.limited]
        reasons += [f"asks for {name!r}, which nobody knows" for name in effect.unknown]
        grid.add_row(Text(word, style=style), Text(effect.scenario), Text(", ".join(reasons)))
    return grid


def _hanging(action: str, reason: str) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("-", Text.assemble(action, (f"  ({reason})", "dim")))
    return Padding(grid, (0, 0, 0, 2))


def _summary_style(report: DoctorReport) -> str:
    if not report.usable:
        return "bold red"
    return "bold yellow" if report.affected else "bold green"
