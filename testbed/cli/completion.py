"""What Tab offers: topology names, labs that are up, their nodes, interfaces, links and services.

A completer must never fail and never be slow: a question that cannot be answered offers nothing.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import typer

VARIABLE = "_TESTBED_COMPLETE"

Completer = Callable[[typer.Context, str], list[str]]


def _offering(words: Callable[[dict[str, Any]], Iterable[str]]) -> Completer:
    """A completer from a function of the arguments typed before."""

    @wraps(words)
    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        try:
            return [word for word in words(ctx.params) if word.startswith(incomplete)]
        except Exception:  # noqa: BLE001  # a traceback in the middle of a command line helps nobody
            return []

    # Typer hands out arguments by annotation, and must not look through to the wrapped function's.
    del complete.__wrapped__
    complete.__annotations__ = {"ctx": typer.Context, "incomplete": str, "return": list[str]}
    return complete


def _state(params: dict[str, Any]) -> dict[str, Any]:
    """The state of the lab named before, or of the only one that is up."""
    from testbed.cli import talk

    lab = params.get("lab")
    if isinstance(lab, list | tuple):
        lab = lab[0] if lab else None
    return talk.status(talk.chosen(lab, ""), timeout=1.0)


@_offering
def topologies(params: dict[str, Any]) -> Iterable[str]:
    """Names of topologies."""
    del params
    from testbed.model.discover import topology_names

    return topology_names()


@_offering
def labs(params: dict[str, Any]) -> Iterable[str]:
    """Labs that are up."""
    del params
    from testbed.cli import talk

    return talk.running()


@_offering
def nodes(params: dict[str, Any]) -> Iterable[str]:
    """Nodes of the lab named before."""
    return [node["name"] for node in _state(params)["nodes"]]


@_offering
def interfaces(params: dict[str, Any]) -> Iterable[str]:
    """``node:interface`` of the lab named before, those already given left out."""
    from testbed.cli import talk

    given = params.get("interfaces") or ()
    return [end.label for end in talk.ends(_state(params)["run_folder"]) if end.label not in given]


@_offering
def services(params: dict[str, Any]) -> Iterable[str]:
    """``node/service`` of the lab named before."""
    return list(_state(params)["services"])


@_offering
def event_kinds(params: dict[str, Any]) -> Iterable[str]:
    """Kinds of events."""
    del params
    from testbed.events.codec import event_types

    return sorted(event_types())


@_offering
def fault_kinds(params: dict[str, Any]) -> Iterable[str]:
    """Kinds of faults."""
    del params
    from testbed.model.fault import FAULT_KINDS

    return FAULT_KINDS


@_offering
def fault_targets(params: dict[str, Any]) -> Iterable[str]:
    """What the fault named before can be put on."""
    from testbed.cli import talk
    from testbed.model import fault

    state = _state(params)
    kind = params.get("kind")
    if kind in (fault.KILL_SERVICE, fault.RESTART_SERVICE):
        return list(state["services"])
    if kind == fault.REBOOT:
        return [node["name"] for node in state["nodes"]]
    found = talk.ends(state["run_folder"])
    links = [] if kind in (fault.FLUSH_ADDRESSES, fault.SET_ADDRESSES) else [e.link for e in found]
    return [*dict.fromkeys(links), *(end.label for end in found)]


@_offering
def rule_tables(params: dict[str, Any]) -> Iterable[str]:
    """The shipped tables of MAP-E rules."""
    del params
    from testbed.components.mape.tables import SHIPPED

    return SHIPPED


def in_bash(run: Callable[[], None]) -> None:
    """Answer bash, which takes ``:`` for the end of a word.

    It hands over ``pc:eth0`` as three words and wants to be given only what follows the last
    colon; so words are joined before Typer sees them, and what it offers is cut afterwards.
    """
    words, current = joined_at_colons(os.environ["COMP_WORDS"], int(os.environ["COMP_CWORD"]))
    os.environ["COMP_WORDS"], os.environ["COMP_CWORD"] = "\n".join(words), str(current)
    typed = words[current] if current < len(words) else ""
    cut = typed.rfind(":") + 1
    offered = io.StringIO()
    try:
        with contextlib.redirect_stdout(offered):
            run()
    finally:
        for line in offered.getvalue().splitlines():
            typer.echo(line[cut:])


def joined_at_colons(text: str, current: int) -> tuple[list[str], int]:
    """The words of ``COMP_WORDS`` with those around colons made one, and the cursor's word."""
    words: list[str] = []
    cursor = 0
    for number, word in enumerate(text.split("\n")):
        colons = bool(re.fullmatch(":+", word))
        behind = bool(words) and words[-1].endswith(":")
        if words and (colons or behind) and number <= current and number > 1:
            words[-1] += word
        else:
            words.append(word)
        if number == current:
            cursor = len(words) - 1
    if current >= len(text.split("\n")):
        cursor = len(words)
    return words, cursor
