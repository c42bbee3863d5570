"""Building, with a source so small that it takes no time; everything but the compiler is real."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from testbed.guest import kernel_build, kernel_cache
from testbed.guest.errors import GuestKernelError
from testbed.guest.kernel_build import Wanted, ensure_kernel, find_kernel
from testbed.guest.kernel_key import KernelKey
from testbed.guest.kernel_recipe import Recipe
from testbed.guest.kernel_source import Source
from tests.guest.conftest import TINY_PATCH, tiny_source
from tests.waiting import wait_until

PACKAGE = "linux-source-tiny"


@dataclass
class Workshop:
    """A cache of its own, a tiny source, and what the build said."""

    cache: Path
    slow: Path
    archive: Path
    recipe: Recipe
    version: str = "1"
    said: list[str] = field(default_factory=list)

    def wanted(self, *_: object, **__: object) -> Wanted:
        key = KernelKey.make(self.recipe, self.version, "cc")
        return Wanted(self.recipe, Source(PACKAGE, self.version, self.archive), key)

    def build(self) -> kernel_cache.GuestKernel:
        return ensure_kernel(self.said.append)

    def kept(self) -> set[str]:
        return {path.name for path in self.cache.iterdir()}


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    slow = tmp_path / "slow"
    recipe = Recipe(PACKAGE, "CONFIG_A=y\n", (("1.patch", TINY_PATCH),))
    cache = tmp_path / "cache/testbed/guest-kernel"
    shop = Workshop(cache, slow, tiny_source(tmp_path, PACKAGE, slow), recipe)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(kernel_build, "check_tools", lambda: None)
    monkeypatch.setattr(Wanted, "here", shop.wanted)
    monkeypatch.setattr(kernel_build, "STEPS", 20)
    return shop


def test_it_is_built_once_and_then_found(workshop: Workshop) -> None:
    assert find_kernel() is None
    kernel = workshop.build()
    assert workshop.said[0] == f"unpacking {PACKAGE} 1"
    assert workshop.said[-1] == "compiling: 99 %, 20 files"
    workshop.said.clear()
    again = workshop.build()
    assert (again, workshop.said) == (kernel, [])
    assert find_kernel() == kernel
    assert kernel.binary == workshop.cache / kernel.key / "linux"
    assert subprocess.run([kernel.binary], check=False).returncode == 0  # /bin/true, stripped
    assert kernel.config.read_text() == "CONFIG_A=y\n"


def test_the_manifest_says_what_it_is_made_of(workshop: Workshop) -> None:
    kernel = workshop.build()
    manifest = json.loads((kernel.binary.parent / "manifest.json").read_text())
    assert manifest["key"] == kernel.key == str(workshop.wanted().key)
    assert manifest["release"] == "6.12.1-tiny"
    assert manifest["made_of"]["source"] == f"{PACKAGE} 1"
    assert list(manifest["made_of"]["patches"]) == ["1.patch"]
    assert manifest["compiled_files"] == 20
    assert manifest["size"] == kernel.binary.stat().st_size
    assert 0 < manifest["cpu_s"] <= manifest["wall_s"] * (os.cpu_count() or 1)


def test_another_key_is_built_beside_it(workshop: Workshop) -> None:
    first = workshop.build()
    workshop.version = "2"
    assert find_kernel() is None
    second = workshop.build()
    assert first.key != second.key
    assert workshop.kept() == {first.key, second.key, "lock", "build.log"}


def test_a_patch_that_does_not_fit_is_an_error(workshop: Workshop) -> None:
    text = TINY_PATCH.replace("-plain", "-something else")
    workshop.recipe = Recipe(PACKAGE, "CONFIG_A=y\n", (("1.patch", text),))
    with pytest.raises(GuestKernelError, match="patch ended with 1"):
        workshop.build()
    assert workshop.kept() == {"lock", "build.log"}
    assert "1 out of 1 hunk" in (workshop.cache / "build.log").read_text()


def test_without_its_patch_the_source_does_not_build(workshop: Workshop) -> None:
    """The control for the others: the patch was really applied."""
    workshop.recipe = Recipe(PACKAGE, "CONFIG_A=y\n", ())
    with pytest.raises(GuestKernelError, match=r"make ended with 2\n.*Error 1") as caught:
        workshop.build()
    assert caught.value.where == str(workshop.cache / "build.log")
    assert workshop.kept() == {"lock", "build.log"}


def test_a_damaged_kernel_is_not_used(workshop: Workshop) -> None:
    kernel = workshop.build()
    with kernel.binary.open("ab") as file:
        file.write(b"x")
    for look in (find_kernel, workshop.build):
        with pytest.raises(GuestKernelError, match="is not the one that was built") as caught:
            look()
        assert f"rm -r {kernel.binary.parent}" in str(caught.value)


@pytest.mark.parametrize("content", ["", "{}", '{"key": "another"}'])
def test_a_manifest_that_does_not_fit_is_an_error(workshop: Workshop, content: str) -> None:
    kernel = workshop.build()
    (kernel.binary.parent / "manifest.json").write_text(content)
    with pytest.raises(GuestKernelError, match="not complete"):
        find_kernel()


def test_a_kernel_under_anothers_key_is_an_error(workshop: Workshop) -> None:
    kernel = workshop.build()
    workshop.version = "2"
    kernel.binary.parent.rename(workshop.cache / str(workshop.wanted().key))
    with pytest.raises(GuestKernelError, match="belongs to another key"):
        find_kernel()


def test_no_room_is_an_error_before_anything_is_done(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_build, "NEEDED_BYTES", 1 << 60)
    with pytest.raises(GuestKernelError, match=r"MB are free") as caught:
        workshop.build()
    assert "XDG_CACHE_HOME" in str(caught.value)
    assert workshop.said == []


def test_a_cache_that_cannot_be_written_is_an_error(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(GuestKernelError, match="cannot be built: Not a directory"):
        workshop.build()


def _in_thread(action: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=action)
    thread.start()
    return thread


def test_a_second_build_waits_for_the_first_and_takes_its_kernel(workshop: Workshop) -> None:
    workshop.slow.touch()
    kernels: list[kernel_cache.GuestKernel] = []
    waiter: list[str] = []
    first = _in_thread(lambda: kernels.append(workshop.build()))
    wait_until(lambda: "compiling: 99 %, 20 files" in workshop.said, "the first build")
    second = _in_thread(lambda: kernels.append(ensure_kernel(waiter.append)))
    waiting = "waiting for another build (compiling: 99 %, 20 files)"
    wait_until(lambda: waiting in waiter, "the second build to wait")
    workshop.slow.unlink()
    first.join()
    second.join()
    assert kernels[0] == kernels[1]
    assert waiter == [waiting], "it waited, and built nothing itself"


_BUILDER = """
    import sys
    from pathlib import Path
    from testbed.guest import kernel_build
    from testbed.guest.kernel_build import Wanted, ensure_kernel
    from tests.guest.test_kernel_build import Workshop
    from testbed.guest.kernel_recipe import Recipe
    from tests.guest.conftest import TINY_PATCH
    cache, slow, archive = map(Path, sys.argv[1:])
    recipe = Recipe("linux-source-tiny", "CONFIG_A=y\\n", (("1.patch", TINY_PATCH),))
    kernel_build.check_tools = lambda: None
    kernel_build.STEPS = 20
    Wanted.here = Workshop(cache, slow, archive, recipe).wanted
    ensure_kernel(lambda text: print(text, flush=True))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_build_leaves_nothing_half_made(
    workshop: Workshop, number: signal.Signals
) -> None:
    workshop.slow.touch()
    program = textwrap.dedent(_BUILDER)
    arguments = [str(path) for path in (workshop.cache, workshop.slow, workshop.archive)]
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as builder:
        assert builder.stdout is not None
        for line in builder.stdout:
            if line == "compiling: 99 %, 20 files\n":
                break
        builder.send_signal(number)
        assert builder.wait() == -number
    assert find_kernel() is None
    if number is signal.SIGINT:
        assert workshop.kept() == {"lock", "build.log"}
    # The next build is not kept waiting by what is left of that one, and clears up after it.
    workshop.slow.unlink()
    kernel = workshop.build()
    assert workshop.kept() == {kernel.key, "lock", "build.log"}
