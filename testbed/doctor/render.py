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
    Kind.BACKEND: "Backends (--backend)",
    Kind.PROGRAM: "Programs",
}


def render(report: DoctorReport, *, full: bool = True) -> RenderableType:
    """Everything; with ``full=False`` only what affects a scenario, and what to do about it."""
    return Group(*_parts(report, full))


def _parts(report: DoctorReport, full: bool) -> Iterator[RenderableType]:
    matters = _what_matters(report)
    if full:
        yield _facts(report)
    for kind, heading in _HEADINGS.items():
        shown = [c for c in report.of_kind(kind) if full or c.name in matters]
        if shown:
            yield _heading(heading)
            yield Padding(_table(shown, matters), (0, 0, 0, 2))
    if full:
        yield _heading("Which kernel (--kernel auto)")
        yield Padding(_kernels(report), (0, 0, 0, 2))
    if report.affected:
        yield _heading("Scenarios affected")
        yield Padding(_effects(report.affected), (0, 0, 0, 2))
    remedies = report.remedies()
    if remedies:
        yield _heading("What to do")
        for remedy in remedies:
            yield _hanging(remedy.action, f"for {', '.join(remedy.capabilities)}")
    yield Text()
    yield Text(report.summary(), style=_summary_style(report))


def _what_matters(report: DoctorReport) -> frozenset[str]:
    """What is not there in full and some scenario needs; all of it if there are no scenarios."""
    if report.effects:
        return frozenset(name for e in report.affected for name in (*e.missing, *e.limited))
    return frozenset(c.name for c in report.capabilities if c.state is not State.YES)


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


def _table(capabilities: Iterable[Capability], matters: frozenset[str]) -> Table:
    grid = _grid(None, None, 3, 4)
    for capability in capabilities:
        well = capability.state is State.YES
        # What nobody needs is no reason for alarm: the word stands, without the colour.
        style = _STYLE[capability.state] if well or capability.name in matters else "dim"
        grid.add_row(
            Text(capability.state.value, style=style),
            Text(capability.name),
            Text(capability.purpose, style="dim"),
            Text(capability.detail),
        )
    return grid


def _kernels(report: DoctorReport) -> Table:
    """Which kernel has what, and what would be chosen.  Needs that fare alike share a line."""
    guest = report.guest
    grid = Table.grid(padding=(0, 2))
    grid.add_column(ratio=1, overflow="fold")
    for _ in range(3):
        grid.add_column(no_wrap=True)
    heads = ("need", "host", f"guest ({guest.state})", "auto chooses")
    grid.add_row(*(Text(head, style="bold") for head in heads))
    alike: dict[tuple[bool, bool, str], list[str]] = {}
    for row in report.kernels:
        alike.setdefault((row.host, row.guest, row.auto), []).append(row.need)
    for (host, there, auto), needs in sorted(alike.items(), key=lambda one: not one[0][0]):
        words = [Text(", ".join(needs))]
        for yes in (host, there):
            words.append(Text("yes" if yes else "no", style="green" if yes else "dim"))
        grid.add_row(*words, Text(auto, style="red" if auto == "nowhere" else ""))
    grid.add_row(Text(f"guest kernel: {guest.state}, {guest.detail}", style="dim"))
    return grid


def _effects(effects: Iterable[Effect]) -> Table:
    """Scenarios of one file (``FILE::NAME``) that lack the same share a line."""
    grid = _grid(None, 2, 3)
    groups: dict[tuple[str, str, str], list[str]] = {}
    for effect in effects:
        file = effect.scenario.split("::")[0]
        word = "skipped" if not effect.can_run else "guest" if effect.guest else "limited"
        groups.setdefault((word, file, _reasons(effect)), []).append(effect.scenario)
    styles = {"skipped": "red", "limited": "yellow", "guest": "green"}
    for (word, file, reasons), names in groups.items():
        style = styles[word]
        what = names[0] if len(names) == 1 else f"{file} ({len(names)} scenarios)"
        grid.add_row(Text(word, style=style), Text(what), Text(reasons))
    return grid


def _reasons(effect: Effect) -> str:
    reasons = [f"no {name}" for name in effect.missing]
    reasons += [f"the host has no {name}" for name in effect.guest]
    reasons += [f"{name} limited" for name in effect.limited]
    reasons += [f"asks for {name!r}, which nobody knows" for name in effect.unknown]
    return ", ".join(reasons)


def _hanging(action: str, reason: str) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("-", Text.assemble(action, (f"  ({reason})", "dim")))
    return Padding(grid, (0, 0, 0, 2))


def _summary_style(report: DoctorReport) -> str:
    if not report.usable:
        return "bold red"
    troubled = any(not effect.can_run or effect.limited for effect in report.affected)
    return "bold yellow" if troubled else "bold green"
