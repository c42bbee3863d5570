"""Building the agent: a static program, so that it runs in any image, even an empty one.

It is kept in ``$XDG_CACHE_HOME/testbed/agent/KEY/``, outside the tree; KEY is what it is made of:
source, compiler and its options.  It appears there by renaming, complete or not at all.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from testbed.errors import MissingFeatureError

NAME = "testbed-agent"
_SOURCES = Path(__file__).parent
_UNITS = ("agent.c", "program.c")
_FILES = (*_UNITS, "program.h")
_OPTIONS = ("-std=gnu11", "-Wall", "-Wextra", "-Os", "-static", "-s")
_PATH = "/usr/local/bin:/usr/bin:/bin"
_HINT = "as root: apt-get install --no-install-recommends gcc libc6-dev"


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/testbed/agent``, ``~/.cache/...`` by default."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "testbed" / "agent"


def ensure_agent() -> Path:
    """The agent's program for this machine, built first (in about a second) if need be.

    Raises:
        MissingFeatureError: there is no compiler, or it cannot build it; says what to do.
    """
    compiler = shutil.which("cc", path=_PATH)
    if compiler is None:
        raise MissingFeatureError(
            "containers need a small program of ours, and this machine has no C compiler",
            hint=_HINT,
        )
    folder = cache_folder() / _key(compiler)
    program = folder / NAME
    if not program.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _build(compiler, program)
        except OSError as error:
            raise MissingFeatureError(
                f"the containers' agent cannot be kept: {error.strerror or error}",
                where=str(error.filename or folder),
                hint="choose a place with room to write in: XDG_CACHE_HOME=FOLDER",
            ) from error
    return program


def _key(compiler: str) -> str:
    """What the program is made of."""
    digest = hashlib.sha256()
    version = subprocess.run(
        (compiler, "-v"), capture_output=True, check=False, env={"LC_ALL": "C", "PATH": _PATH}
    )
    for part in (version.stderr, " ".join(_OPTIONS).encode()):
        digest.update(part + b"\0")
    for name in _FILES:
        digest.update(name.encode() + b"\0" + (_SOURCES / name).read_bytes())
    return digest.hexdigest()[:16]


def _build(compiler: str, program: Path) -> None:
    """Compile beside the final place and move there; others may do the same meanwhile."""
    with tempfile.TemporaryDirectory(dir=program.parent, prefix="building-") as scratch:
        output = Path(scratch) / NAME
        command = (compiler, *_OPTIONS, "-o", str(output), *_UNITS)
        answer = subprocess.run(
            command,
            cwd=_SOURCES,
            capture_output=True,
            text=True,
            check=False,
            env={"LC_ALL": "C", "PATH": _PATH, "TMPDIR": scratch},
        )
        if answer.returncode != 0:
            last = "\n".join(answer.stderr.splitlines()[-6:])
            raise MissingFeatureError(
                f"the containers' agent cannot be compiled:\n{last}",
                where=str(_SOURCES),
                hint=f"{_HINT} (a static C library comes with the latter)",
            )
        output.chmod(0o755)
        output.replace(program)
