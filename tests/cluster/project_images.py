"""The project's own images, as clusters load them; ``images.build`` knows how they are made."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from images import BuildError
from images.build import NAMES, Built
from images.build import ensure as build
from tests.cluster import Failure, places, tools
from tests.cluster.steps import say, step

# Only those who ask for the second gateway pay for it.
EXTRAS = ("envoy",)
ALWAYS = tuple(name for name in NAMES if name not in EXTRAS)


def ensure(names: Sequence[str] = ALWAYS) -> list[Built]:
    """Return images of the project and of its tests, building those whose inputs changed."""
    with step("images"):
        try:
            return list(build(names).values())
        except BuildError as error:
            raise Failure(f"images: {error}") from error


def build_all(binaries: Sequence[tools.Group]) -> None:
    """Build the binaries of a cluster, every image, and what only some tests need."""
    with built_meanwhile():
        tools.build(binaries)
        tools.ensure()
    ensure((*ALWAYS, *EXTRAS))
    tools.build([tools.ENVOY, tools.PROMETHEUS])


@contextmanager
def built_meanwhile() -> Iterator[None]:
    """Build the images beside a first build of the binaries: one waits for the network when the other computes.

    A failure here is not reported: ``load`` builds what is missing, and says what is wrong.
    """
    if tools.folder_of(tools.NODE).exists():
        yield
        return
    log = places.cache() / "images.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    say(f"  the images are built meanwhile; log: {log}")
    with log.open("w") as output:
        builder = subprocess.Popen(
            [sys.executable, "-m", "images.build", *ALWAYS], cwd=places.ROOT, stdout=output, stderr=output
        )
    try:
        yield
        with step("images, if they are not yet built"):
            builder.wait()
    finally:
        if builder.poll() is None:
            builder.terminate()
            builder.wait()
