"""Topologies as files of other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from testbed.cli.arguments import DESCRIBE, Topology
from testbed.cli.describe import Output, deliver
from testbed.cli.left_out import say_left_out, topology_of
from testbed.errors import TestbedError

_SUFFIXES = (".clab.yml", ".clab.yaml")


class Target(StrEnum):
    """For whom a topology can be exported."""

    CLAB = "clab"


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("export", rich_help_panel=DESCRIBE)(export)


def export(
    topology: Topology,
    target: Annotated[
        Target, typer.Option("--format", help="clab: a containerlab file.")
    ] = Target.CLAB,
    image: Annotated[
        str | None,
        typer.Option(
            "--image",
            metavar="IMAGE",
            help="Container image of nodes that name none; it needs iproute2, and nftables for "
            "firewalls.",
            show_default="nicolaka/netshoot",
        ),
    ] = None,
    output: Output = None,
) -> None:
    """Write a topology as a file of another program.

    As a containerlab file of plain Linux nodes. Their files stand in a folder beside it, so it
    needs a name (-o lab.clab.yml) where there are any. What cannot be carried over - services,
    impairments, faults - is said on stderr and at the head of the file.
    """
    del target  # there is one so far; Typer refuses any other
    from testbed.model.clab.writing import DEFAULT_IMAGE, export_clab

    if output is not None and not output.name.endswith(_SUFFIXES):
        raise typer.BadParameter(
            f"{output.name!r}: containerlab looks for files called *.clab.yml",
            param_hint="--output",
        )
    if image is not None and (not image or any(one.isspace() for one in image)):
        raise typer.BadParameter(f"{image!r} is no name of an image", param_hint="--image")
    folder = None if output is None else _beside(output)
    exported = export_clab(
        topology_of(topology),
        image=image or DEFAULT_IMAGE,
        folder=None if folder is None else folder.name,
    )
    deliver(exported.text, output)
    if output is not None:
        for name, content in exported.files:
            _write(output.parent / name, content)
    say_left_out(exported.left_out)


def _beside(output: Path) -> Path:
    """The folder for files: ``lab.clab.files`` for ``lab.clab.yml``."""
    folder = output.with_suffix(".files")
    if ":" in folder.name:
        raise typer.BadParameter(
            f"{output.name!r}: containerlab cannot bind files below a name with a colon",
            param_hint="--output",
        )
    return folder


def _write(path: Path, content: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8", newline="")
    except OSError as error:
        raise TestbedError(
            f"cannot write a file of a node: {error.strerror}",
            where=str(path),
            hint="choose another place with -o",
        ) from error
