"""What is no seed's fault ends the search; what broke off is not offered for replay."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.cli import explore as command
from testbed.explore import trial as trials
from testbed.explore.perturbation import Perturbation
from testbed.explore.search import Found, Result
from testbed.explore.trial import GUEST, ExploreError, Failure, Trial, Tries
from testbed.guest.kernel_cache import GuestKernel
from testbed.replay.again import check
from testbed.replay.job import Prepared, begin, prepare
from testbed.replay.recipe import Recipe

_NOTHING = Perturbation(())


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare(["test", "--kernel", "host", "--part", "tests/explore/race"])


def _tries(prepared: Prepared, kernel: GuestKernel) -> Tries:
    return Tries(prepared, kernel, lambda _text: None, 1)


def test_a_kernel_that_is_gone_is_no_failing_seed(
    kernel: GuestKernel, prepared: Prepared, tmp_path: Path
) -> None:
    gone = replace(kernel, binary=tmp_path / "no-kernel-here")
    with pytest.raises(ExploreError, match="cannot run seed 3") as caught:
        _tries(prepared, gone).run(3, _NOTHING, tmp_path / "seed-3")
    assert "no-kernel-here" in str(caught.value)


def test_a_folder_that_cannot_be_made_is_no_failing_seed(
    kernel: GuestKernel, prepared: Prepared, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ExploreError, match="Not a directory") as caught:
        _tries(prepared, kernel).run(3, _NOTHING, tmp_path / "file" / "seed-3")
    assert caught.value.hint


def test_what_fails_on_a_full_disk_is_no_failing_seed(
    kernel: GuestKernel, prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guest ends its command with failures, but there is no room left for its files."""
    folder = tmp_path / "seed-3"

    def fails(*_: object) -> int:
        line = {"scenario": {"identity": "x.py::test_x", "outcome": "failed", "why": "no room"}}
        (folder / "results.jsonl").write_text(json.dumps(line) + "\n")
        return 1

    monkeypatch.setattr(Tries, "_boot", fails)
    one = _tries(prepared, kernel).run(3, _NOTHING, folder)
    assert one.failures == (Failure("x.py::test_x", "no room"),)

    about = list(os.statvfs(tmp_path))
    about[4] = 0  # f_bavail
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result(about))
    with pytest.raises(ExploreError, match="No space left on device"):
        _tries(prepared, kernel).run(3, _NOTHING, folder)


def _found(folder: Path, history: str | None) -> Found:
    return Found(Trial(7, _NOTHING, folder, (Failure(GUEST, "panicked"),), history, 1.0))


def test_a_run_that_broke_off_is_to_be_tried_again_not_replayed(
    kernel: GuestKernel, prepared: Prepared, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As ``replay`` itself has it: it refuses such a run."""
    machine = trials.machine_of(7, _NOTHING)
    begin(prepared.recipe(machine, kernel, _NOTHING.to_json()), tmp_path)
    with pytest.raises(Exception, match="did not come to its end"):
        check(tmp_path)
    again = command._Again("my lab", "keys or x")
    result = Result(1, [_found(tmp_path, None)])
    command._tell_result(result, tmp_path, again)
    told = capsys.readouterr().out
    wanted = "testbed explore 'my lab' --seeds 7..7 --shrink 0 -k 'keys or x'"
    assert "testbed replay" not in told
    assert "broke off" in told
    assert f"try it again:  {wanted}\n" in told
    (one,) = command._json(result, range(7, 8), tmp_path, again)["found"]
    assert (one["replay"], one["again"]) == (None, wanted)


def test_a_run_that_came_to_its_end_is_to_be_replayed(
    kernel: GuestKernel, prepared: Prepared, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = prepared.recipe(trials.machine_of(7, _NOTHING), kernel, _NOTHING.to_json())
    replace(recipe, history="00").write(tmp_path)
    assert check(tmp_path) == Recipe.read(tmp_path)
    again = command._Again("race", "")
    result = Result(1, [_found(tmp_path, "00")])
    command._tell_result(result, tmp_path, again)
    assert f"replay it:  testbed replay {tmp_path}\n" in capsys.readouterr().out
    (one,) = command._json(result, range(7, 8), tmp_path, again)["found"]
    assert one["replay"] == f"testbed replay {tmp_path}"


def test_ctrl_c_in_the_guest_is_the_users(
    kernel: GuestKernel, prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """128 + SIGINT is how the judging command says that it was interrupted: no seed's failure."""
    monkeypatch.setattr(Tries, "_boot", lambda *_: 128 + signal.SIGINT)
    (tmp_path / "seed-3").mkdir()
    with pytest.raises(KeyboardInterrupt):
        _tries(prepared, kernel).run(3, _NOTHING, tmp_path / "seed-3")
