"""The recipe has what labs need, and the build's final configuration has it still."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.guest.errors import GuestKernelError
from testbed.guest.kernel_cache import GuestKernel
from testbed.guest.kernel_key import TOOLS
from testbed.guest.kernel_recipe import FOLDER, Recipe, read_symbols
from tests.guest.needed_symbols import FORBIDDEN, NEEDED, symbols

_LISTS = Path(__file__).parents[2] / "setup"


def test_the_built_kernel_has_everything_that_labs_need(kernel: GuestKernel) -> None:
    final = read_symbols(kernel.config.read_text())
    assert {name: final.get(name) for name in symbols(NEEDED)} == dict.fromkeys(
        symbols(NEEDED), "y"
    )


def test_the_built_kernel_has_nothing_that_spoils_it(kernel: GuestKernel) -> None:
    final = read_symbols(kernel.config.read_text())
    assert [name for name in symbols(FORBIDDEN) if final.get(name, "n") != "n"] == []


def test_the_built_kernel_is_as_the_recipe_asks(kernel: GuestKernel) -> None:
    assert Recipe.load().missing_from(kernel.config.read_text()) == []


def test_the_built_kernel_is_small(kernel: GuestKernel) -> None:
    assert kernel.manifest.size < 12_000_000
    assert kernel.binary.stat().st_size == kernel.manifest.size


def test_a_symbol_that_the_source_does_not_know_is_noticed() -> None:
    recipe = Recipe("linux", 'CONFIG_A=y\nCONFIG_B=y\n# CONFIG_C is not set\nCONFIG_D="x"\n', ())
    final = 'CONFIG_A=y\nCONFIG_C=y\nCONFIG_D="x"\n'
    assert recipe.missing_from(final) == ["CONFIG_B is n, not y", "CONFIG_C is y, not n"]
    assert recipe.missing_from('CONFIG_A=y\nCONFIG_B=y\nCONFIG_D="x"\n') == []


def test_nothing_is_asked_for_twice() -> None:
    lines = [line for line in Recipe.load().config.splitlines() if line.startswith("CONFIG_")]
    names = [line.partition("=")[0] for line in lines]
    assert sorted(set(names)) == sorted(names)


def test_every_patch_says_what_it_is_for_and_its_licence() -> None:
    patches = Recipe.load().patches
    assert len(patches) >= 5
    for name, text in patches:
        head = text.partition("\n--- ")[0]
        assert "SPDX-License-Identifier: GPL-2.0-only" in head, name
        assert len(head.split()) > 20, name
    assert "GNU GENERAL PUBLIC LICENSE" in (FOLDER / "COPYING").read_text()


def test_the_package_list_brings_every_tool() -> None:
    listed = {
        line.split()[0]
        for name in ("debian-packages.txt", "debian-packages-guest.txt")
        for line in (_LISTS / name).read_text().splitlines()
        if line and not line.startswith("#")
    }
    essential = {"tar"}  # every Debian system has it
    assert {package for _, package in TOOLS} - essential <= listed
    assert {Recipe.load().package, "libc6-dev"} <= listed


def test_without_the_recipe_the_error_says_where_it_should_be(tmp_path: Path) -> None:
    with pytest.raises(GuestKernelError) as caught:
        Recipe.load(tmp_path / "nowhere")
    assert caught.value.where == str(tmp_path / "nowhere")
    assert "complete checkout" in str(caught.value)
