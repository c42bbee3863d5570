"""The key changes with everything that changes the kernel, and with nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from testbed.guest import kernel_key
from testbed.guest.errors import GuestKernelError
from testbed.guest.kernel_key import KernelKey, check_tools, find_compiler
from testbed.guest.kernel_recipe import Recipe

RECIPE = Recipe("linux-source", "CONFIG_A=y\n# CONFIG_B is not set\n", (("1.patch", "+a\n"),))


def key(recipe: Recipe = RECIPE, version: str = "6.12-1", compiler: str = "gcc 12") -> str:
    return str(KernelKey.make(recipe, version, compiler))


def test_it_is_the_same_for_the_same() -> None:
    assert key() == key()
    assert len(key()) == 16


@pytest.mark.parametrize(
    "other",
    [
        key(version="6.12-2"),
        key(compiler="gcc 13"),
        key(replace(RECIPE, config="CONFIG_A=y\n")),
        key(replace(RECIPE, config="CONFIG_A=y\nCONFIG_B=y\n")),
        key(replace(RECIPE, config='CONFIG_A="y"\n# CONFIG_B is not set\n')),
        key(replace(RECIPE, patches=())),
        key(replace(RECIPE, patches=(("1.patch", "+b\n"),))),
        key(replace(RECIPE, patches=(("2.patch", "+a\n"),))),
        key(replace(RECIPE, package="linux")),
    ],
)
def test_it_changes_with_each_part(other: str) -> None:
    assert other != key()


def test_comments_and_order_of_the_configuration_do_not_count() -> None:
    config = "# why\n\n# CONFIG_B is not set\n\nCONFIG_A=y\n"
    assert key(replace(RECIPE, config=config)) == key()


def test_the_order_of_patches_counts() -> None:
    first, second = ("1.patch", "+a\n"), ("2.patch", "+b\n")
    one = KernelKey.make(replace(RECIPE, patches=(first, second)), "1", "gcc")
    assert list(one.to_json()["patches"]) == ["1.patch", "2.patch"]  # type: ignore[call-overload]


def test_missing_tools_are_named_all_at_once_with_their_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "make").write_text("#!/bin/sh\n")
    (tmp_path / "make").chmod(0o755)
    monkeypatch.setattr(kernel_key, "PATH", str(tmp_path))
    with pytest.raises(GuestKernelError) as caught:
        check_tools()
    text = str(caught.value)
    assert "gcc, ld, strip, patch, flex, bison, m4, bc, xz, tar" in text
    assert "apt-get install --no-install-recommends bc binutils bison flex gcc m4 patch" in text
    assert "make" not in caught.value.what.split("needs")[1].split(",")[0]


def test_missing_headers_are_named_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_key, "TOOLS", ())
    monkeypatch.setattr(kernel_key, "HEADERS", (str(tmp_path / "stdio.h"), "libc6-dev"))
    with pytest.raises(GuestKernelError, match="libc6-dev"):
        check_tools()


def test_without_a_compiler_there_is_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_key, "PATH", str(tmp_path))
    with pytest.raises(GuestKernelError, match="gcc, ld"):
        find_compiler()
