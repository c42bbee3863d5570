"""``testbed images``: the container images that nodes are made of."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from testbed.cli.arguments import TOOLS, Json
from testbed.cli.output import Progress, bold, count, duration, facts, faint, say, say_json, table
from testbed.cli.output import tell as note

if TYPE_CHECKING:
    from testbed.images.build import Built

NOT_BUILT = 3
"""The exit code of ``list`` when one of the images is not there, or not as described now."""

commands = typer.Typer(no_args_is_help=True, help="Container images.")

Base = Annotated[
    str,
    typer.Option(
        "--base",
        metavar="IMAGE|mmdebstrap",
        envvar="TESTBED_IMAGES_BASE",
        help="What they are built on: an image of Debian 12 from a registry, or one made here "
        "by mmdebstrap.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.add_typer(commands, name="images", rich_help_panel=TOOLS)


@commands.callback()
def _group() -> None:
    """The container images that nodes can be made of (see images/ in the checkout)."""


@commands.command()
def build(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME...]", help="Which.  [default: all]", show_default=False),
    ] = None,
    *,
    base: Base = "debian:bookworm-slim",
    newer: Annotated[
        bool,
        typer.Option(
            "--newer",
            help="Where a pinned version has gone from Debian's archive, take the one it has.",
        ),
    ] = False,
    anew: Annotated[
        bool, typer.Option("--anew", help="Build also what is there, on a base fetched anew.")
    ] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="How many at once.")] = 2,
    as_json: Json = False,
) -> None:
    """Build the images that are not there, or not as they are described now."""
    from testbed.images.build import build_images
    from testbed.images.engine import connected
    from testbed.images.sources import project_folder

    project = project_folder()
    built = []
    with connected() as client, Progress("images") as progress:
        images = build_images(
            client,
            project,
            names or (),
            base=base,
            newer=newer,
            anew=anew,
            jobs=jobs,
            progress=lambda name, text: progress(f"{name}: {text}"),
        )
        with closing(images):
            for image in images:
                built.append(image)
                if not as_json:
                    say(_describe(image))
    if as_json:
        say_json([_to_json(image) for image in built])
    for image in built:
        if image.newer:
            which = f": {', '.join(image.replaced)}" if image.replaced else ""
            note(f"warning: {image.name} has newer packages than pinned{which}; make lock-images")


@commands.command("list")
def list_images(as_json: Json = False) -> None:
    """List the images, and which of them are built.

    Exits 3 when one is not there, or not as it is described now.
    """
    from testbed.images.engine import connected
    from testbed.images.inventory import list_built
    from testbed.images.sources import project_folder

    project = project_folder()
    with connected() as client:
        found = list_built(client, project)
    if as_json:
        say_json([entry.to_json() for entry in found])
    else:
        rows = [
            (
                entry.name,
                entry.state,
                "-" if entry.size is None else megabytes(entry.size),
                entry.capabilities or "-",
                entry.title,
            )
            for entry in found
        ]
        say(table(("IMAGE", "STATE", "SIZE", "CAPABILITIES", "WHAT IT IS"), rows))
    if any(entry.state != "built" for entry in found):
        sys.exit(NOT_BUILT)


@commands.command()
def lock(base: Base = "debian:bookworm-slim", as_json: Json = False) -> None:
    """Pin the versions that Debian's archive has now (images/*/packages.lock)."""
    from testbed.images.build import base_identifier
    from testbed.images.engine import connected
    from testbed.images.lock import lock_packages
    from testbed.images.sources import project_folder

    project = project_folder()
    with connected() as client, Progress("images") as progress:
        identifier = base_identifier(client, base, progress=lambda _, text: progress(text))
        progress("asking apt")
        pins = lock_packages(client, project, identifier)
    if as_json:
        say_json({str(file.relative_to(project)): found for file, found in pins.items()})
        return
    say(
        facts(
            (str(file.relative_to(project)), count(len(found), "package"))
            for file, found in pins.items()
        )
    )


def megabytes(size: int) -> str:
    """``123 MB`` (of a million bytes, as Docker counts)."""
    return f"{size / 1e6:.0f} MB"


def _describe(image: Built) -> str:
    how = faint("already there") if image.was_there else f"built in {duration(image.seconds)}"
    return f"{bold(f'testbed/{image.name}:{image.key}')}  {megabytes(image.size)}  {how}"


def _to_json(image: Built) -> dict[str, Any]:
    return {
        "name": image.name,
        "key": image.key,
        "size": image.size,
        "seconds": round(image.seconds, 2),
        "was_there": image.was_there,
        "newer": image.newer,
        "replaced": list(image.replaced),
    }
