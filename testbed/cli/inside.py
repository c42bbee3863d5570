"""Commands and shells in nodes."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Annotated

import typer

from testbed.cli import talk
from testbed.cli.arguments import LOOK, Environment, Lab, Node, environment
from testbed.errors import ServiceError

_TERMINAL_VARIABLES = ("TERM", "COLORTERM", "NO_COLOR", "LANG", "LC_ALL", "LC_CTYPE")
"""What a command must know to draw on the caller's terminal; nothing else crosses over unasked."""

_NO_PROGRAM = os.strerror(errno.ENOENT)
_BLUE, _PLAIN = "\\[\\e[1;34m\\]", "\\[\\e[0m\\]"


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command(
        "exec",
        rich_help_panel=LOOK,
        # What follows the command's name belongs to it, its own options included.
        context_settings={"allow_interspersed_args": False},
    )(execute)
    app.command("shell", rich_help_panel=LOOK)(shell)


def execute(
    lab: Lab,
    node: Node,
    command: Annotated[
        list[str],
        typer.Argument(
            metavar="COMMAND...", help="The program and its arguments.", show_default=False
        ),
    ],
    env: Environment = None,
) -> None:
    """Run a command in a node.

    It reads and writes this terminal, pipe or file, and its exit code is passed on. A command ended
    by signal N gives 128+N. Ctrl-C goes to the command.
    """
    from testbed.cli.attach import run_attached
    from testbed.cli.terminal import run_on_terminal

    words = command[1:] if command[0] == "--" else command
    if not words:
        raise typer.BadParameter("there is no command to run", param_hint="COMMAND")
    variables = {**terminal_variables(), **environment(env)}
    if os.isatty(0) and os.isatty(1) and "guest" in talk.status(lab):
        # This terminal cannot be handed into a guest: the command gets one there.
        raise typer.Exit(run_on_terminal(lab, node, words, variables))
    raise typer.Exit(run_attached(lab, node, words, variables))


def shell(lab: Lab, node: Node, env: Environment = None) -> None:
    """Open a shell in a node.

    It is your $SHELL without your start-up files (in a container that has none of that name: its
    bash or sh); its prompt shows the lab and the node, and it leaves no history behind.
    """
    wanted = os.environ.get("SHELL") or "/bin/sh"
    missing: list[str] = []
    for program in dict.fromkeys((wanted, "/bin/bash", "/bin/sh")):
        try:
            raise typer.Exit(_run_shell(program, lab, node, environment(env)))
        except ServiceError as error:
            if _NO_PROGRAM not in error.what:
                raise
            missing.append(program)
    raise ServiceError(
        f"there is no shell: none of {', '.join(missing)}",
        where=node,
        hint=f"a program of it can be run all the same: testbed exec {lab} {node} PROGRAM",
    )


def _run_shell(program: str, lab: str, node: str, chosen: dict[str, str]) -> int:
    from testbed.cli.attach import run_attached
    from testbed.cli.terminal import run_on_terminal

    variables = {**terminal_variables(), **chosen}
    if not (os.isatty(0) and os.isatty(1)):
        return run_attached(lab, node, [program], variables)
    command, prompt = shell_command(program, lab, node)
    return run_on_terminal(lab, node, command, {**prompt, **variables})


def terminal_variables() -> dict[str, str]:
    """What a command in a node is told of the terminal it draws on."""
    return {name: os.environ[name] for name in _TERMINAL_VARIABLES if name in os.environ}


def shell_command(program: str, lab: str, node: str) -> tuple[list[str], dict[str, str]]:
    """How to start a shell so that its prompt shows the node, and it writes no history file.

    Start-up files of the user are left out: they set prompts and history, and may start programs
    that do not belong into a node.
    """
    here = f"{lab}/{node}"
    variables = {"HISTFILE": "", "SHELL": program}
    match Path(program).name:
        case "bash":
            variables["PS1"] = f"{_BLUE}{here}{_PLAIN}:\\w\\$ "
            return [program, "--noprofile", "--norc", "-i"], variables
        case "zsh":
            variables["PS1"] = f"%B%F{{blue}}{here}%f%b:%~%# "
            return [program, "-f", "-i"], variables
        case "fish":
            # Its own prompt has the host name, which in a node is the node's.
            return [program, "--no-config", "--private", "--interactive"], variables
        case _:
            variables["PS1"] = f"{here}:$PWD# "  # whoever starts a lab is root in its nodes
            return [program, "-i"], variables
