"""``testbed kernel``: the guest kernel, for labs that need more than this machine's own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from testbed.cli.arguments import TOOLS, Json
from testbed.cli.output import Progress, bold, duration, facts, faint, say, say_json, tell

if TYPE_CHECKING:
    from testbed.guest.kernel_cache import GuestKernel

NOT_BUILT = 3
"""The exit code of ``status`` and ``path`` when there is no kernel yet."""

commands = typer.Typer(no_args_is_help=True, help="The guest kernel.")


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.add_typer(commands, name="kernel", rich_help_panel=TOOLS)


@commands.callback()
def _group() -> None:
    """The guest kernel: what this machine's own lacks, and virtual time."""


@commands.command()
def build(
    *,
    newest: Annotated[
        bool,
        typer.Option("--newest", help="Take the newest source that apt knows."),
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Compilers at once.  [default: one per CPU]"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Build the guest kernel, unless it is there already.

    From Debian's linux-source package; takes about ten minutes, once.
    """
    from testbed.guest.kernel_build import ensure_kernel, find_kernel

    kernel = None if newest else find_kernel()
    was_there = kernel is not None
    if kernel is None:
        with Progress("guest kernel") as progress:
            kernel = ensure_kernel(progress, newest=newest, jobs=jobs)
    if as_json:
        say_json(_to_json(kernel))
    else:
        say(f"{'already there' if was_there else 'built'}: {_describe(kernel)}")


@commands.command()
def status(as_json: Json = False) -> None:
    """Say whether the guest kernel is built, and what it is made of.

    Exits 3 when it is not.
    """
    from testbed.guest import kernel_cache
    from testbed.guest.kernel_build import Wanted, find_kernel

    kernel = find_kernel()
    if kernel is None:
        wanted = Wanted.here(kernel_cache.cache_folder())
        if as_json:
            made_of = wanted.key.to_json()
            say_json({"built": False, "key": str(wanted.key), "made_of": made_of})
        else:
            say(f"not built: {wanted.key}, from {wanted.key.source}")
            say(faint("build it with: testbed kernel build"))
        sys.exit(NOT_BUILT)
    if as_json:
        say_json(_to_json(kernel))
        return
    manifest = kernel.manifest
    say(f"built: {_describe(kernel)}")
    say(
        facts(
            (
                ("binary", kernel.binary),
                ("source", manifest.made_of["source"]),
                ("compiler", manifest.made_of["compiler"]),
                ("patches", ", ".join(manifest.made_of["patches"])),
                ("sha256", manifest.sha256),
            )
        )
    )


@commands.command()
def path() -> None:
    """Print where the guest kernel lies.  Exits 3 when it is not built."""
    from testbed.guest.kernel_build import find_kernel

    kernel = find_kernel()
    if kernel is None:
        tell("the guest kernel is not built; testbed kernel build")
        sys.exit(NOT_BUILT)
    say(str(kernel.binary))


def _describe(kernel: GuestKernel) -> str:
    manifest = kernel.manifest
    size = f"{manifest.size / 1e6:.1f} MB"
    took = f"{duration(manifest.wall_s)}, {duration(manifest.cpu_s)} of CPU time"
    return f"{bold(kernel.key)}, Linux {manifest.release}, {size} (built in {took})"


def _to_json(kernel: GuestKernel) -> dict[str, Any]:
    return {"built": True, "binary": str(kernel.binary), **kernel.manifest.to_json()}
