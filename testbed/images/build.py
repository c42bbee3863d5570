"""Building images: what is there already is left alone, the rest is built two at a time.

An image gets its tags when it is complete: ``testbed/NAME:KEY`` and ``testbed/NAME:latest``.  A
build that fails or is broken off leaves no tag, and what it leaves without one is removed.
"""

from __future__ import annotations

import fcntl
import io
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from testbed import __version__
from testbed.images import REPOSITORY
from testbed.images.errors import ImageError, PinnedVersionGoneError
from testbed.images.root import ensure_root
from testbed.images.sources import (
    BASE,
    OWN,
    cache_folder,
    chosen,
    context_archive,
    context_files,
    key_of,
)
from testbed.images.wheels import fetch_wheels

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.images import Image

PUBLIC_BASE = "debian:bookworm-slim"
"""The base that is taken from a registry unless another is asked for."""

MMDEBSTRAP = "mmdebstrap"
"""Asks for a base made on this machine instead."""

KEY_LABEL = f"{REPOSITORY}.key"
BASE_LABEL = f"{REPOSITORY}.base"
IMAGE_LABEL = f"{REPOSITORY}.image"

_NEWER = "-newer"
"""Ends the tag of an image in which newer packages stand in for pinned ones that have gone."""

_STAGE = "python"
"""The stage, and the tag, in which the Python environment of our own image is made."""

_GONE = "gone from the archive: "
_EXIT_GONE = 75  # images/install-packages
_SAID_AT_END = 20

Progress = Callable[[str, str], None]
"""Is told the name of an image, and what is being done for it."""


@dataclass(frozen=True, slots=True)
class Built:
    """An image as it is in the engine; ``size`` in bytes, its base included."""

    name: str
    key: str
    size: int
    seconds: float
    was_there: bool
    newer: bool = False
    """Has newer packages in place of pinned ones that have gone from the archive."""
    replaced: tuple[str, ...] = ()
    """Those pins (``name=version``), where they were found to be gone just now."""


class _BrokenOffError(Exception):
    """Somebody does not want the build any more."""


def build_images(
    client: DockerClient,
    project: Path,
    names: Sequence[str] = (),
    *,
    base: str = PUBLIC_BASE,
    newer: bool = False,
    anew: bool = False,
    jobs: int = 2,
    progress: Progress = lambda _name, _text: None,
    repository: str = REPOSITORY,
) -> Generator[Built]:
    """Build these images, all if none is named; each is given as soon as it is there.

    Args:
        client: the engine that builds and keeps them.
        project: the checkout.
        names: which; ``base`` is built in any case.
        base: an image from a registry or the engine, or ``mmdebstrap``.
        newer: where a pinned version has gone from the archive, take the archive's.
        anew: build also what is there, on a base that is fetched or made anew.
        jobs: how many at once.
        progress: told what is being done.
        repository: the first part of their names.

    Raises:
        ImageError: there is no such image, or one cannot be built.
        PinnedVersionGoneError: the archive has no pinned version any more, and ``newer`` is False.
    """
    order = chosen(project, names)
    with _one_at_a_time(progress):
        workshop = _Workshop(client, project, repository, newer, anew, progress)
        try:
            first = workshop.build(
                BASE, base_identifier(client, base, anew=anew, progress=progress)
            )
            yield first
            rest = [name for name in order if name != BASE]
            rest.sort(key=lambda name: name != OWN)  # the one that takes longest, first
            yield from workshop.build_many(rest, f"{repository}/{BASE}:latest", jobs)
        finally:
            workshop.clear_up()


@contextmanager
def _one_at_a_time(progress: Progress) -> Iterator[None]:
    """Nobody else builds meanwhile: what one cleans up, another may be building on."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "images.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(BASE, "another build runs; waiting for it to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def base_identifier(
    client: DockerClient, base: str, *, anew: bool = False, progress: Progress
) -> str:
    """The identifier of the bare base in this engine; it is fetched or made where it is missing.

    Raises:
        ImageError: it cannot be had.
    """
    if base == MMDEBSTRAP:
        return ensure_root(client, lambda text: progress(BASE, text), anew=anew)
    from docker.errors import DockerException, ImageNotFound

    try:
        if not anew:
            return str(client.images.get(base).id)
    except ImageNotFound:
        pass
    progress(BASE, f"fetching {base}")
    try:
        client.images.pull(base)
        return str(client.images.get(base).id)
    except DockerException as error:
        raise ImageError(
            f"the base image cannot be had: {error}",
            where=base,
            hint=f"where there is no registry: --base {MMDEBSTRAP}",
        ) from None


class _Workshop:
    """One run of builds in one engine."""

    def __init__(
        self,
        client: DockerClient,
        project: Path,
        repository: str,
        newer: bool,
        anew: bool,
        progress: Progress,
    ) -> None:
        self._client, self._project, self._repository = client, project, repository
        self._newer, self._anew = newer, anew
        self._progress = progress
        self._broken_off = Event()
        self._architecture = str(client.version()["Arch"])
        self.clear_up()  # after one that was killed outright

    def build_many(self, names: Sequence[str], base: str, jobs: int) -> Iterator[Built]:
        """Several at once; the first failure ends the others."""
        identifier = str(self._client.images.get(base).id)
        with ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="image") as pool:
            pending: set[Future[Built]] = {
                pool.submit(self.build, name, identifier) for name in names
            }
            try:
                while pending:
                    done, pending = wait(pending, return_when=FIRST_EXCEPTION, timeout=0.5)
                    for future in done:
                        yield future.result()
            finally:
                self._broken_off.set()  # those that still run see it at their next line
                pool.shutdown(wait=True, cancel_futures=True)

    def build(self, name: str, base: str) -> Built:
        """One image on a base, which is told by its identifier in the engine."""
        files = context_files(self._project, name)
        key = key_of(files, base)
        began = time.monotonic()
        replaced: tuple[str, ...] = ()
        identifier = ""
        tag, found = (key, None) if self._anew else self._find(name, key)
        if found is None:
            if name == OWN:
                wheels = fetch_wheels(
                    self._project, self._architecture, lambda text: self._progress(name, text)
                )
                files = {**files, **wheels}
                # Kept under a tag, or it would be cleared up and made anew after every change.
                stage, _ = self._run(name, key, context_archive(files), base, stage=_STAGE)
                self._client.images.get(stage).tag(f"{self._repository}/{name}", _STAGE)
            identifier, replaced = self._run(name, key, context_archive(files), base)
            tag = key + (_NEWER if replaced else "")
        image = found or self._client.images.get(identifier)
        image.tag(f"{self._repository}/{name}", tag)
        image.tag(f"{self._repository}/{name}", "latest")
        self._drop_older(name, tag)
        return Built(
            name=name,
            key=key,
            size=int(image.attrs["Size"]),
            seconds=time.monotonic() - began,
            was_there=found is not None,
            newer=tag != key,
            replaced=replaced,
        )

    def _find(self, name: str, key: str) -> tuple[str, Image | None]:
        """An image of this key and its tag, or None in its place."""
        from docker.errors import ImageNotFound

        for tag in (key, key + _NEWER) if self._newer else (key,):
            try:
                return tag, self._client.images.get(f"{self._repository}/{name}:{tag}")
            except ImageNotFound:
                continue
        return key, None

    def _run(
        self, name: str, key: str, context: bytes, base: str, stage: str | None = None
    ) -> tuple[str, tuple[str, ...]]:
        """Have the engine build it, or a stage of it: its identifier, and the pins replaced."""
        self._progress(name, "building")
        said: list[str] = []
        identifier = ""
        # Its network is that of the engine's machine: a private engine has no other.
        messages = self._client.api.build(
            fileobj=io.BytesIO(context),
            custom_context=True,
            dockerfile=f"images/{name}/Dockerfile",
            buildargs={"BASE": base, "NEWER": "yes" if self._newer else "no", **_proxies()},
            labels={
                KEY_LABEL: key,
                BASE_LABEL: base,
                "org.opencontainers.image.version": __version__,
                "org.opencontainers.image.created": time.strftime(
                    "%Y-%m-%dT%H:%M:%SZ", time.gmtime()
                ),
            },
            target=stage,
            network_mode="host",
            nocache=self._anew,
            rm=True,
            forcerm=True,
            decode=True,
        )
        with closing(messages):  # closed before its end, the engine gives the build up
            for message in messages:
                if self._broken_off.is_set():
                    raise _BrokenOffError
                identifier = message.get("aux", {}).get("ID", identifier)
                text = str(message.get("stream", "")).rstrip()
                if text:
                    said.extend(text.splitlines())
                if text.startswith("Step "):
                    self._progress(name, text)
                if "error" in message:
                    raise _failure(name, message, said)
        if not identifier:
            raise ImageError(f"the engine did not say what it built:\n    {_end(said)}", where=name)
        return identifier, tuple(_gone(said))

    def _drop_older(self, name: str, current: str) -> None:
        """Earlier tags of this image go; a container that runs one keeps what it runs."""
        from docker.errors import APIError

        for image in self._client.images.list(filters={"label": f"{IMAGE_LABEL}={name}"}):
            for tag in image.tags:
                ours, _, word = tag.rpartition(":")
                if ours == f"{self._repository}/{name}" and word not in (current, "latest", _STAGE):
                    try:
                        self._client.images.remove(tag)
                    except APIError:
                        continue

    def clear_up(self) -> None:
        """Remove what builds of ours left without a tag."""
        from docker.errors import APIError

        try:
            self._client.images.prune(filters={"dangling": True, "label": IMAGE_LABEL})
        except APIError:  # another prune is at it
            return


def _proxies() -> dict[str, str]:
    """The proxies of this machine; by these names Docker keeps them out of what it builds."""
    known = {kind: url for kind, url in urllib.request.getproxies().items() if kind != "all"}
    if "http" not in known and shutil.which("apt-config"):
        asked = ["apt-config", "--format", "%v", "dump", "Acquire::http::Proxy"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        if address := done.stdout.strip():
            known["http"] = address
    return {f"{kind}_proxy": address for kind, address in known.items()}


def _failure(name: str, message: Mapping[str, Any], said: Sequence[str]) -> ImageError:
    code = message.get("errorDetail", {}).get("code")
    if code == _EXIT_GONE and (gone := list(_gone(said))):
        return PinnedVersionGoneError(
            f"the archive no longer has {', '.join(gone)}",
            where=f"images/{name}/packages.lock",
            hint="pin what it has now: make lock-images; or take that just for now: --newer",
        )
    return ImageError(f"{message['error']}\n    {_end(said)}", where=f"images/{name}/Dockerfile")


def _gone(said: Sequence[str]) -> Iterator[str]:
    for line in said:
        if line.startswith(_GONE):
            yield line.removeprefix(_GONE)


def _end(said: Sequence[str]) -> str:
    return "\n    ".join(said[-_SAID_AT_END:])
