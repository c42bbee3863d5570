"""Run folders: where a lab and a test run keep what they write."""

from __future__ import annotations

import os
import time
from pathlib import Path

from testbed.errors import LabError

VARIABLE = "TESTBED_RUNS"
FOLDER_VARIABLE = "TESTBED_RUN_FOLDER"
"""The very folder of a run, told to a ``testbed`` in a guest by the one outside."""


def runs_folder() -> Path:
    """``$TESTBED_RUNS``, or ``runs`` in the working folder."""
    return Path(os.environ.get(VARIABLE) or "runs").resolve()


def new_run_folder(name: str) -> Path:
    """Make a folder for a new run: ``runs/20261121-093015-NAME``, numbered if that exists.

    Raises:
        LabError: it cannot be made.
    """
    base = runs_folder()
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for number in range(1, 10_000):
        suffix = "" if number == 1 else f"-{number}"
        folder = base / f"{stamp}-{name}{suffix}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise LabError(
                f"cannot make a run folder: {error.strerror}",
                where=str(folder),
                hint=f"choose a writable place: {VARIABLE}=FOLDER",
            ) from error
        return folder
    raise LabError("ten thousand runs in one second", where=str(base))
