"""Topologies as drawings, plans and files; nothing here touches the network."""

from __future__ import annotations

import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from testbed.cli.arguments import DESCRIBE, Backend, Json, Topology
from testbed.cli.arguments import backend as known_backend
from testbed.cli.left_out import topology_of
from testbed.cli.output import say, say_json, tell
from testbed.errors import TestbedError

Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write to a file, not to stdout."),
]


class Drawing(StrEnum):
    """How a topology can be drawn."""

    SVG = "svg"
    MERMAID = "mermaid"
    DRAWIO = "drawio"


class Form(StrEnum):
    """How a topology can be written."""

    YAML = "yaml"
    JSON = "json"


_DRAWING_OF = {
    ".svg": Drawing.SVG,
    ".mmd": Drawing.MERMAID,
    ".md": Drawing.MERMAID,
    ".drawio": Drawing.DRAWIO,
}
_FORM_OF = {".yaml": Form.YAML, ".yml": Form.YAML, ".json": Form.JSON}


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("graph", rich_help_panel=DESCRIBE)(graph)
    app.command("plan", rich_help_panel=DESCRIBE)(plan)
    app.command("convert", rich_help_panel=DESCRIBE)(convert)
    app.command("schema", rich_help_panel=DESCRIBE)(schema)


def graph(
    topology: Topology,
    form: Annotated[
        Drawing | None,
        typer.Option("--format", help="[default: by the file's suffix, else svg]"),
    ] = None,
    output: Output = None,
) -> None:
    """Draw a topology.

    With names and addresses: as SVG, as Mermaid text, or as a draw.io file to go on with.
    """
    from testbed.evidence.graph import draw_drawio, draw_mermaid, draw_svg

    if form is None and output is not None and output.suffix not in ("", *_DRAWING_OF):
        raise typer.BadParameter(
            f"no drawing is a {output.suffix} file: name a .svg, .drawio, .mmd or .md file, "
            "or say the --format",
            param_hint="--output",
        )
    chosen = form or (_DRAWING_OF.get(output.suffix) if output else None) or Drawing.SVG
    if chosen is not Drawing.MERMAID and output is None and sys.stdout.isatty():
        raise typer.BadParameter(
            f"a drawing as {chosen.value} is for a file or a pipe: -o lab.{chosen.value}; "
            "--format mermaid gives text to read",
            param_hint="--output",
        )
    draw = {Drawing.SVG: draw_svg, Drawing.MERMAID: draw_mermaid, Drawing.DRAWIO: draw_drawio}
    deliver(draw[chosen](topology_of(topology)), output)


def plan(topology: Topology, backend: Backend = "netns", as_json: Json = False) -> None:
    """Print the steps that bring a topology up.

    Nothing is done.
    """
    from testbed.plan import make_plan

    model = topology_of(topology, known_backend(backend))
    made = make_plan(model, backend)
    secrets = [
        secret for node in model.nodes for service in node.services for secret in service.secrets
    ]
    if not as_json:
        say(_without(secrets, made.text()).rstrip("\n"))
        return
    say_json(
        {
            "topology": made.topology,
            "needs": [{"feature": feature, "place": place} for feature, place in made.needs],
            "operations": [
                _plain({"do": _step_name(step), **asdict(step)}, secrets)
                for step in made.operations
            ],
        }
    )


def _step_name(step: object) -> str:
    """``MakeNode`` as ``make-node``."""
    name = type(step).__name__
    return "".join(f"-{one.lower()}" if one.isupper() else one for one in name).removeprefix("-")


def _plain(value: Any, secrets: list[str]) -> Any:
    """A plan's values as JSON data: without places in files, and without secrets."""
    if isinstance(value, dict):
        return {
            key: _plain(one, secrets)
            for key, one in value.items()
            if key not in ("place", "secrets") and one is not None
        }
    if isinstance(value, list | tuple):
        return [_plain(one, secrets) for one in value]
    if isinstance(value, bool | int | float):
        return value
    return _without(secrets, str(value))


def _without(secrets: list[str], text: str) -> str:
    for secret in secrets:
        text = text.replace(secret, "<secret>")
    return text


def convert(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="A topology.py, .yaml, .json or .clab.yml.", show_default=False
        ),
    ],
    form: Annotated[
        Form | None,
        typer.Option("--to", help="[default: by the file's suffix, else yaml]"),
    ] = None,
    output: Output = None,
) -> None:
    """Write a topology as YAML or JSON.

    It is checked first; what is written has the secrets of its services.
    """
    from testbed.model.files import dump_json, dump_yaml

    chosen = form or (_FORM_OF.get(output.suffix) if output else None) or Form.YAML
    dump = dump_yaml if chosen is Form.YAML else dump_json
    deliver(dump(topology_of(file)), output)


def schema() -> None:
    """Print the JSON Schema of topology files."""
    from testbed.model.schema import json_schema

    say_json(json_schema())


def deliver(text: str, output: Path | None) -> None:
    if output is None:
        say(text.rstrip("\n"))
        return
    try:
        output.write_text(text if text.endswith("\n") else f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise TestbedError(
            f"cannot write the file: {error.strerror}",
            where=str(output),
            hint="choose another place with -o",
        ) from error
    tell(f"{output} written")
