"""Arguments and options that several commands share, with what completes them."""

from __future__ import annotations

from typing import Annotated

import typer

from testbed.cli import completion

Topology = Annotated[
    str,
    typer.Argument(
        metavar="NAME|FILE",
        help="A topology's name (see testbed list), or a file: topology.py, .yaml, .json, "
        ".clab.yml.",
        autocompletion=completion.topologies,
        show_default=False,
    ),
]
Lab = Annotated[
    str,
    typer.Argument(
        metavar="LAB",
        help="A lab that is up.",
        autocompletion=completion.labs,
        show_default=False,
    ),
]
OptionalLab = Annotated[
    str | None,
    typer.Argument(
        metavar="LAB",
        help="A lab that is up; may be left out if only one is.",
        autocompletion=completion.labs,
        show_default=False,
    ),
]
Node = Annotated[
    str,
    typer.Argument(
        metavar="NODE",
        help="A node of the lab.",
        autocompletion=completion.nodes,
        show_default=False,
    ),
]
Environment = Annotated[
    list[str] | None,
    typer.Option(
        "--env",
        "-e",
        metavar="NAME=VALUE",
        help="Add a variable to the command's environment (several times).",
        show_default=False,
    ),
]
Backend = Annotated[
    str,
    typer.Option(
        "--backend",
        metavar="netns|mininet|docker",
        help="What makes the nodes that ask for nothing themselves: namespaces, Mininet, or "
        "containers.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Follow = Annotated[
    bool, typer.Option("--follow", "-f", help="Go on with what comes until the lab goes down.")
]

LABS = "Labs"
LOOK = "Look inside"
DESCRIBE = "Topologies"
TOOLS = "Tools"


def backend(word: str) -> str:
    """The backend of that name; a usage error for anything else."""
    from testbed.model.checks.suggest import did_you_mean
    from testbed.model.topology import BACKENDS

    if word not in BACKENDS:
        hint = did_you_mean(word, BACKENDS, "backends")
        raise typer.BadParameter(f"no backend is called {word!r}; {hint}", param_hint="--backend")
    return word


def environment(words: list[str] | None) -> dict[str, str]:
    """``NAME=VALUE`` words as a mapping; a usage error for anything else."""
    variables = {}
    for word in words or ():
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{word!r} is not NAME=VALUE", param_hint="--env")
        variables[name] = value
    return variables
