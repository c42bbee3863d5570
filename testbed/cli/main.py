"""The command itself: its list of subcommands, and the one place where errors are printed."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from testbed import __version__
from testbed.cli import (
    capture,
    change,
    clock,
    completion,
    describe,
    doctor,
    explore,
    export,
    gc,
    images,
    inside,
    judge,
    kernel,
    labs,
    look,
    mape,
    mininet,
    observe,
    replay,
    timeline,
)
from testbed.cli.output import DEBUG, INTERRUPTED, debugging, report, say
from testbed.errors import TestbedError

PROGRAM = "testbed"

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # paragraphs are filled, and brackets are only brackets
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        import platform

        system = f"{platform.system()} {platform.release()}"
        say(f"testbed {__version__} (Python {platform.python_version()}, {system})")
        raise typer.Exit


@app.callback()
def _start(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """A network lab that tells the truth about VPNs, address sharing and IPv6 transition.

    Begin with: testbed doctor; testbed list; testbed up v6plus.
    """


for _module in (
    *(
        labs,
        judge,
        replay,
        explore,
        look,
        clock,
        inside,
        mininet,
        capture,
        observe,
        timeline,
        change,
        describe,
        export,
        doctor,
        mape,
        kernel,
        images,
        gc,
    ),
):
    _module.register(app)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command; ends with its exit code (1: an error, 2: wrong usage)."""

    def run() -> None:
        app(arguments, prog_name=PROGRAM)

    try:
        if os.environ.get(completion.VARIABLE) == "complete_bash":
            completion.in_bash(run)
        else:
            run()
    except TestbedError as error:
        _fail(error)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except OSError as error:
        name = None if error.filename is None else str(error.filename)
        _fail(TestbedError(error.strerror or str(error), where=name), error)
    except Exception as error:  # noqa: BLE001  # nobody should meet a traceback unasked
        what = f"a defect of testbed: {type(error).__name__}: {error}"
        _fail(TestbedError(what, hint=f"run it again with {DEBUG}=1 for the traceback"), error)
    sys.exit(0)


def _fail(error: TestbedError, cause: BaseException | None = None) -> NoReturn:
    if debugging():
        import traceback

        traceback.print_exception(cause or error)
    report(error)
    sys.exit(1)
