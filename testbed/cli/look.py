"""What there is: topologies, and labs that are up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import typer

from testbed.cli import clocks, talk
from testbed.cli.arguments import LABS, Json, OptionalLab
from testbed.cli.output import bad, bold, count, duration, facts, faint, good, say, say_json, table
from testbed.cli.scenario_count import count_scenarios
from testbed.errors import TestbedError

_STATES = {"ready": good, "starting": faint, "stopped": faint}


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("list", rich_help_panel=LABS)(list_)
    app.command("status", rich_help_panel=LABS)(status)


def list_(as_json: Json = False) -> None:
    """List topologies, and which are up."""
    from testbed.model.builder import relative
    from testbed.model.discover import default_search, list_topologies

    up: dict[tuple[str, str], list[str]] = {}
    guests: dict[str, dict[str, Any]] = {}
    dead: dict[str, TestbedError] = {}
    for lab in talk.running():
        state = talk.look(lab)
        if isinstance(state, TestbedError):
            dead[lab] = state
            continue
        topology = (state["topology"], state["title"]) if state else (lab, "")
        up.setdefault(topology, []).append(lab)
        if state and "guest" in state:
            guests[lab] = state
    topologies: list[dict[str, Any]] = [
        {
            "name": one.name,
            "title": one.title,
            "path": str(one.path),
            **_scenarios(one.path),
            "up": up.pop((one.name, one.title), []),
            "error": None if one.error is None else str(one.error),
        }
        for one in list_topologies()
    ]
    others = [lab for labs in up.values() for lab in labs]
    if as_json:
        told = {lab: state["guest"] for lab, state in guests.items()}
        gone = {lab: error.what for lab, error in dead.items()}
        everything = {"topologies": topologies, "other_labs": others, "guests": told}
        say_json({**everything, "ended": gone} if gone else everything)
        return
    if topologies:
        rows = [
            (one["name"], ", ".join(one["up"]) or "-", _number(one), _title(one))
            for one in topologies
        ]
        say(table(("NAME", "UP AS", "SCENARIOS", "TITLE"), rows))
    else:
        searched = [relative(str(folder)) for folder in default_search()]
        say(f"no topologies (looked in {', '.join(searched) or 'no folder'})")
    if others:
        say(f"also up, from elsewhere: {', '.join(others)}")
    for lab, state in guests.items():
        say(f"{bold(lab)} is {clocks.words(state)}")
    for lab, error in dead.items():
        say(f"{bold(lab)} has {bad('ended')}: {error.what.splitlines()[0]}")


def _title(topology: Mapping[str, Any]) -> str:
    if topology["error"] is not None:
        return bad("not usable: ") + str(topology["error"]).splitlines()[0]
    return str(topology["title"])


def _scenarios(path: Path) -> dict[str, Any]:
    """How many scenarios lie in the topology's own folder, and whether that is exact."""
    if path.stem != "topology":  # a single file among others: the tests beside it are not its own
        return {"scenarios": 0, "scenarios_exact": True}
    number, exact = count_scenarios(sorted(path.parent.glob("test_*.py")))
    return {"scenarios": number, "scenarios_exact": exact}


def _number(topology: Mapping[str, Any]) -> str:
    more = "" if topology["scenarios_exact"] else "+"
    return f"{topology['scenarios']}{more}" if topology["scenarios"] else "-"


def status(lab: OptionalLab = None, as_json: Json = False) -> None:
    """Show a lab, or all labs.

    Nodes with their addresses, services with their state, captures that run.
    """
    if lab is None:
        names = talk.running()
        if as_json:
            say_json([state for name in names if (state := talk.glance(name)) is not None])
            return
        if not names:
            say("no lab is up; bring one up with: testbed up TOPOLOGY")
            return
        if len(names) > 1:
            say(_overview(names))
            return
        lab = names[0]
    state = talk.status(lab)
    if as_json:
        say_json(state)
    else:
        say(_details(state))


def _overview(names: Iterable[str]) -> str:
    rows = []
    for name in names:
        state = talk.look(name)
        if state is None or isinstance(state, TestbedError):
            how = "coming up, or busy" if state is None else bad("ended")
            rows.append((name, "?", "?", "?", how, ""))
            continue
        services = state["services"]
        ready = sum(value == "ready" for value in services.values())
        rows.append(
            (
                name,
                state["topology"],
                str(len(state["nodes"])),
                f"{ready}/{len(services)} ready",
                duration(state["seconds"]),
                clocks.words(state) or "-",
            )
        )
    return table(("LAB", "TOPOLOGY", "NODES", "SERVICES", "UP FOR", "GUEST"), rows)


def _details(state: Mapping[str, Any]) -> str:
    parts = [
        f"{bold(state['name'])} is {good('up')} for {duration(state['seconds'])}",
        facts(_head(state)),
        _nodes(state),
    ]
    if state["services"]:
        rows = [
            (*key.split("/", 1), _STATES.get(value, bad)(value))
            for key, value in state["services"].items()
        ]
        parts.append(table(("NODE", "SERVICE", "STATE"), rows))
    if state["captures"]:
        rows = [
            (one["number"], one["file"], _interfaces(one["interfaces"]), one.get("trouble") or "-")
            for one in state["captures"]
        ]
        parts.append(table(("CAPTURE", "FILE", "INTERFACES", "TROUBLE"), rows))
    return "\n\n".join(parts)


def _head(state: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    title = f": {state['title']}" if state["title"] else ""
    yield "topology", f"{state['topology']}{title}"
    if "guest" in state:
        guest = state["guest"]
        seed = "the host's randomness" if guest["seed"] is None else f"seed {guest['seed']}"
        yield "kernel", f"guest {guest['kernel']}, Linux {guest['release']}, {seed}"
    if clocks.is_virtual(state):
        clock = state["guest"]["clock"]
        yield "clock", f"{clocks.moment(clock)}, {clocks.manner(clock)}"
    yield "ends", "with the command that started it" if state["attached"] else "when taken down"
    yield "record", state["run_folder"]
    if state["limits"]:
        yield "limits", state["limits"]
    if state["events_lost"]:
        yield "trouble", bad(f"{count(state['events_lost'], 'event')} could not be written")
    if state["trouble"]:
        yield "trouble", bad(state["trouble"])


def _nodes(state: Mapping[str, Any]) -> str:
    addresses: dict[str, list[str]] = {}
    for end in talk.ends(state["run_folder"]):
        text = " ".join([end.interface, *end.addresses])
        addresses.setdefault(end.node, []).append(text)
    rows: list[tuple[str, str, str]] = []
    for node in state["nodes"]:
        lines = addresses.get(node["name"], ["-"])
        if node["trouble"]:
            lines.append(bad(node["trouble"]))
        backend = node.get("backend", "netns")
        role = node["role"] if backend == "netns" else f"{node['role']}, {backend}"
        rows.append((node["name"], role, lines[0]))
        rows += [("", "", line) for line in lines[1:]]
    return table(("NODE", "ROLE", "INTERFACES"), rows)


def _interfaces(names: list[str]) -> str:
    most = 3
    listing = ", ".join(names[:most])
    return listing if len(names) <= most else f"{listing} and {len(names) - most} more"
