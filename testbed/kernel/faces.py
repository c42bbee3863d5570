"""How errors cross the channel: as data, and back as the same class."""

from __future__ import annotations

import traceback
from typing import Any

from testbed import errors
from testbed.errors import LabError, TestbedError
from testbed.kernel.channel import Channel


def error_to_json(error: TestbedError) -> dict[str, Any]:
    """The error as plain data."""
    return {
        "kind": type(error).__name__,
        "what": error.what,
        "where": None if error.where is None else str(error.where),
        "hint": error.hint,
    }


def error_from_json(data: dict[str, Any]) -> TestbedError:
    """The error that :func:`error_to_json` told of; unknown classes become LabError."""
    cls = getattr(errors, str(data.get("kind")), LabError)
    if not (isinstance(cls, type) and issubclass(cls, TestbedError)) or cls is errors.TopologyError:
        cls = LabError
    return cls(str(data.get("what")), where=data.get("where"), hint=data.get("hint"))


def report_failure(boot: Channel, error: BaseException) -> None:
    """Tell the owner why the lab did not come up."""
    if not isinstance(error, TestbedError):
        traceback.print_exception(error)
        error = LabError(
            f"the lab's supervisor failed: {type(error).__name__}: {error}",
            hint="this is a defect of testbed; its traceback is in logs/lab.log of the run folder",
        )
    try:
        boot.send({"error": error_to_json(error)})
    except TestbedError:
        return
