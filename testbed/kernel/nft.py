"""Load and list nftables rules in the present network namespace, with the ``nft`` program.

nft(8) checks a whole ruleset and loads it in one transaction: all of it or nothing.
"""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

from testbed.errors import KernelError, MissingFeatureError
from testbed.kernel.namespaces import find_program

_LIMIT_S = 60

# nft words its complaints "file:line:column-column: Error: text", the file being standard input.
_COMPLAINT = re.compile(r"^(?:/dev/stdin|-):(\d+):(\d+)(?:-\d+)?: Error: (.*)$")


def _run(arguments: list[str], text: str, where: str | None) -> subprocess.CompletedProcess[str]:
    program = find_program("nft")
    if program is None:
        raise MissingFeatureError(
            "the program nft is needed to load firewall rules and is not installed",
            where=where,
            hint="install the Debian package nftables",
        )
    try:
        return subprocess.run(
            [program, *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise KernelError(f"nft did not end within {_LIMIT_S} s", where=where) from error


def _explain(stderr: str, ruleset: str) -> str:
    """nft's complaints with the line of the ruleset each is about."""
    lines = ruleset.splitlines()
    told = []
    for line in stderr.splitlines():
        found = _COMPLAINT.match(line)
        if found is None:
            continue
        number, column, words = int(found[1]), int(found[2]), found[3]
        quoted = lines[number - 1].strip() if 0 < number <= len(lines) else ""
        told.append(f"line {number}, column {column}: {words}: {quoted}")
    return "; ".join(told) or stderr.strip() or "no reason given"


def _hint(stderr: str) -> str | None:
    if "Operation not permitted" in stderr:
        return "CAP_NET_ADMIN is needed in the network namespace"
    unknown = ("Operation not supported", "Protocol not supported", "No such file or directory")
    if "cache initialization failed" in stderr or any(words in stderr for words in unknown):
        return (
            "the kernel may lack what the rule uses: nf_tables (CONFIG_NF_TABLES, module "
            "nf_tables) and the nft_* module of the expression"
        )
    return None


def load(ruleset: str, where: str | None = None) -> None:
    """Load a ruleset text into the namespace this process is in; all of it or nothing.

    Args:
        ruleset: what ``nft -f`` reads.
        where: the place named in errors.

    Raises:
        MissingFeatureError: nft is not installed.
        KernelError: nft or the kernel refused; tells line, column and text of each complaint.
    """
    done = _run(["-f", "-"], ruleset, where)
    if done.returncode != 0:
        raise KernelError(
            f"could not load the nftables rules: {_explain(done.stderr, ruleset)}",
            where=where,
            hint=_hint(done.stderr),
        )


def ruleset(where: str | None = None) -> list[dict[str, Any]]:
    """Everything loaded in the present namespace, as libnftables-json(5) objects.

    Raises:
        MissingFeatureError: nft is not installed.
        KernelError: nft failed, or what it printed is not its JSON.
    """
    done = _run(["-j", "list", "ruleset"], "", where)
    if done.returncode != 0:
        raise KernelError(
            f"could not list the nftables rules: {_explain(done.stderr, '')}",
            where=where,
            hint=_hint(done.stderr),
        )
    try:
        objects = json.loads(done.stdout)["nftables"]
    except (ValueError, KeyError, TypeError) as error:
        raise KernelError(f"nft printed no JSON ruleset: {error}", where=where) from error
    return [entry for entry in objects if "metainfo" not in entry]
