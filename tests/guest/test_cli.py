"""``testbed kernel``: build, status, path."""

from __future__ import annotations

import json

import pytest

from testbed.cli.main import main
from tests.guest.test_kernel_build import Workshop, workshop

__all__ = ["workshop"]  # a fixture


def command(*words: str) -> int | str | None:
    with pytest.raises(SystemExit) as ended:
        main(["kernel", *words])
    return ended.value.code


def test_before_it_is_built(workshop: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("status", "--json") == 3
    said = json.loads(capsys.readouterr().out)
    assert said["built"] is False
    assert said["key"] == str(workshop.wanted().key)
    assert command("status") == 3
    assert "testbed kernel build" in capsys.readouterr().out
    assert command("path") == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "testbed kernel build" in captured.err


def test_building_shows_progress_once(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("build") == 0
    captured = capsys.readouterr()
    key = str(workshop.wanted().key)
    assert captured.out.startswith(f"built: {key}, Linux 6.12.1-tiny")
    assert "guest kernel: compiling: 50 %, 10 files" in captured.err
    assert command("build") == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"already there: {key}")
    assert captured.err == ""


def test_after_it_is_built(workshop: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
    kernel = workshop.build()
    assert command("path") == 0
    assert capsys.readouterr().out == f"{kernel.binary}\n"
    assert command("status", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["built"] is True
    assert (said["key"], said["sha256"]) == (kernel.key, kernel.manifest.sha256)
    assert command("status") == 0
    assert kernel.manifest.sha256 in capsys.readouterr().out


def test_a_build_that_fails_says_why(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    workshop.archive.write_bytes(b"no archive")
    assert command("build") == 1
    error = capsys.readouterr().err
    assert "building the guest kernel failed: tar ended with 2" in error
    assert "build.log" in error
