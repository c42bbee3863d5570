"""Building the guest kernel: unpack, patch, configure, compile, put into the cache."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from testbed.guest import kernel_cache
from testbed.guest.errors import GuestKernelError
from testbed.guest.kernel_cache import BuildLock, GuestKernel, Manifest, Progress
from testbed.guest.kernel_key import PATH, KernelKey, check_tools, find_compiler
from testbed.guest.kernel_recipe import Recipe
from testbed.guest.kernel_source import Source, fetch, find_source, unpack

STEPS = 1139
"""About how many files the build compiles; only the progress depends on it."""

NEEDED_BYTES = 1000 << 20
"""Room for the unpacked source and the objects, while it builds."""

_STEP = re.compile(r"  (CC|AS|HOSTCC)\s")
_PERCENT = 2
_PROXIES = ("http_proxy", "https_proxy", "no_proxy")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The kernel that this checkout and this machine ask for."""

    recipe: Recipe
    source: Source
    key: KernelKey

    @classmethod
    def here(cls, cache: Path, *, newest: bool = False) -> Wanted:
        """Find out.

        Raises:
            GuestKernelError: no source or no compiler on this machine.
        """
        recipe = Recipe.load()
        source = find_source(recipe.package, cache / "sources", newest=newest)
        return cls(recipe, source, KernelKey.make(recipe, source.version, find_compiler()))


def find_kernel() -> GuestKernel | None:
    """The kernel that :func:`ensure_kernel` would return at once, or None if it must be built.

    Raises:
        GuestKernelError: no source or no compiler; or the cached one is damaged.
    """
    cache = kernel_cache.cache_folder()
    return kernel_cache.look_up(str(Wanted.here(cache).key), cache)


def ensure_kernel(
    progress: Progress, *, newest: bool = False, jobs: int | None = None
) -> GuestKernel:
    """The guest kernel, built first where it is not there yet.

    Args:
        progress: called with a line of text as the work goes on.
        newest: take the newest source that apt knows, not the one used before.
        jobs: compilers at once; as many as there are CPUs by default.

    Raises:
        GuestKernelError: it cannot be built; says why and what to do.
    """
    cache = kernel_cache.cache_folder()
    wanted = Wanted.here(cache, newest=newest)
    kernel = kernel_cache.look_up(str(wanted.key), cache)
    if kernel is not None:
        return kernel
    check_tools()
    try:
        with kernel_cache.only_build(cache, progress) as lock:
            kernel = kernel_cache.look_up(str(wanted.key), cache)
            if kernel is not None:
                return kernel  # whoever had the lock before built it
            return _Build(wanted, cache, lock, progress, jobs).run()
    except OSError as error:
        raise GuestKernelError(
            f"the guest kernel cannot be built: {error.strerror or error}",
            where=str(error.filename or cache),
            hint="choose a place with room to write in: XDG_CACHE_HOME=FOLDER",
        ) from error


class _Build:
    """One build, under the lock."""

    def __init__(
        self, wanted: Wanted, cache: Path, lock: BuildLock, progress: Progress, jobs: int | None
    ) -> None:
        self._wanted, self._cache, self._lock = wanted, cache, lock
        self._progress = progress
        self._jobs = jobs or len(os.sched_getaffinity(0))
        self._folder = cache / "building"
        self._log = cache / "build.log"
        self._compiled = 0
        self._shown = -1

    def run(self) -> GuestKernel:
        began, cpu = time.monotonic(), _children_cpu()
        self._clear()
        free = shutil.disk_usage(self._cache).free
        if free < NEEDED_BYTES:
            raise GuestKernelError(
                f"building the guest kernel takes {NEEDED_BYTES >> 20} MB for a while, "
                f"and {free >> 20} MB are free",
                where=str(self._cache),
                hint="make room, or choose another place: XDG_CACHE_HOME=FOLDER",
            )
        self._folder.mkdir()
        self._log.write_text("")
        try:
            tree = self._tree()
            self._configure(tree)
            self._compile(tree)
            return self._keep(tree, began, cpu)
        finally:
            # Also after Ctrl-C: nothing half-made stays.  What a kill -9 leaves, the next build
            # clears away.
            self._clear()

    def _clear(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _say(self, text: str) -> None:
        self._lock.say(text)
        self._progress(text)

    def _tree(self) -> Path:
        source, store = self._wanted.source, self._cache / "sources"
        if source.archive is None:
            self._say(f"fetching {source.package} {source.version}")
            source = fetch(source, store, self._run)
        self._say(f"unpacking {source.package} {source.version}")
        tree = unpack(source, self._folder, self._run)
        for name, text in self._wanted.recipe.patches:
            file = self._folder / name
            file.write_text(text, encoding="utf-8")
            words = ["patch", "-p1", "--forward", "--batch", "--fuzz=0", "-i", str(file)]
            self._run(words, tree)
        return tree

    def _configure(self, tree: Path) -> None:
        self._say("configuring")
        chosen = self._folder / "config"
        chosen.write_text(self._wanted.recipe.config, encoding="utf-8")
        self._run(["make", "ARCH=um", "allnoconfig"], tree, KCONFIG_ALLCONFIG=str(chosen))
        missing = self._wanted.recipe.missing_from((tree / ".config").read_text())
        if missing:
            raise GuestKernelError(
                f"{self._wanted.source.package} cannot be configured as asked: "
                + "; ".join(missing),
                hint="images/guest-kernel/config does not fit this version of the source",
            )

    def _compile(self, tree: Path) -> None:
        self._count("")
        self._run(["make", "ARCH=um", f"-j{self._jobs}", "linux"], tree, each_line=self._count)

    def _count(self, line: str) -> None:
        self._compiled += bool(_STEP.match(line))
        percent = min(99, self._compiled * 100 // STEPS)
        if percent >= self._shown + _PERCENT:
            self._shown = percent
            self._say(f"compiling: {percent} %, {self._compiled} files")

    def _keep(self, tree: Path, began: float, cpu: float) -> GuestKernel:
        """Move the result to where it can be found: all at once, by renaming its folder."""
        ready = self._folder / "ready"
        ready.mkdir()
        binary = ready / kernel_cache.BINARY
        self._run(["strip", "--strip-all", "-o", str(binary), str(tree / "linux")], tree)
        shutil.copy(tree / ".config", ready / kernel_cache.CONFIG)
        release = (tree / "include/config/kernel.release").read_text().strip()
        key = str(self._wanted.key)
        manifest = Manifest(
            key,
            self._wanted.key.to_json(),
            release,
            binary.stat().st_size,
            kernel_cache.digest(binary),
            self._compiled,
            round(_children_cpu() - cpu, 2),
            round(time.monotonic() - began, 2),
        )
        text = json.dumps(manifest.to_json(), indent=2) + "\n"
        (ready / kernel_cache.MANIFEST).write_text(text, encoding="utf-8")
        for file in ready.iterdir():
            _flush(file)  # a power cut must not leave a name without its contents
        final = self._cache / key
        ready.rename(final)
        return GuestKernel(final / kernel_cache.BINARY, manifest)

    def _run(
        self,
        command: list[str],
        folder: Path,
        *,
        each_line: Callable[[str], None] | None = None,
        **environment: str,
    ) -> None:
        """Run a command of the build, its output in the log; ends with us, whatever happens."""
        # The lock's descriptor goes along: as long as anything of a build lives, it is held.
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig=TERM", "nice", "-n", "10", *command],
            cwd=folder,
            env=_environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            pass_fds=(self._lock.descriptor,),
        )
        assert process.stdout is not None
        try:
            with self._log.open("a", encoding="utf-8") as log:
                for line in process.stdout:
                    log.write(line)
                    if each_line:
                        each_line(line)
            status = process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise
        if status:
            self._fail(command, status)

    def _fail(self, command: list[str], status: int) -> None:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        telling = [line for line in lines if "rror" in line][-3:] or lines[-3:]
        said = "\n".join(f"  {line}" for line in telling)
        raise GuestKernelError(
            f"building the guest kernel failed: {command[0]} ended with {status}\n{said}",
            where=str(self._log),
            hint="the file named above has all of the build's output",
        )


def _environment(**more: str) -> dict[str, str]:
    """Nothing of the caller's: the same key gives the same binary, and make must not take us for
    a part of an outer make.  (apt may need a proxy; the compiler does not care.)"""
    return {
        **{name: os.environ[name] for name in _PROXIES if name in os.environ},
        "PATH": PATH,
        "LC_ALL": "C",
        "KBUILD_BUILD_USER": "testbed",
        "KBUILD_BUILD_HOST": "guest",
        "KBUILD_BUILD_TIMESTAMP": "1970-01-01",
        "KBUILD_BUILD_VERSION": "1",
        **more,
    }


def _flush(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
