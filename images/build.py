"""Builds images whose inputs changed, as OCI archives in the cache.

``python -m images.build`` builds all, ``python -m images.build operator`` one, ``--values mlflow`` prints the Helm
values that point a chart at them. An image's tag is the hash of its inputs, so an archive of that name is that image,
and nothing has to be asked of an engine to know that there is nothing to do.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from images import BuildError, base, engines, host
from images.catalog import IMAGES, ROOT, read_context, read_labels
from images.content import File, hash_of, write_context
from images.runs import run, say, stop
from images.values import CHARTS

NAMES = tuple(IMAGES)
_KEPT = 2
# One build computes while another waits for the network.
_AT_ONCE = 2
_SCRATCH = "build-"


@dataclass(frozen=True)
class Built:
    """An image reference and the archive that holds it."""

    ref: str
    archive: Path


@dataclass(frozen=True)
class Plan:
    """What the build of one image would be made from and would make."""

    name: str
    files: Mapping[str, File]
    labels: Mapping[str, str]
    built: Built


def archives() -> Path:
    """Return the folder of the archives."""
    return host.cache() / "images"


def plan(name: str, on: base.Base) -> Plan:
    """Read the inputs of an image and name what they make."""
    image = IMAGES[name]
    files = read_context(image)
    labels = read_labels(image)
    tag = hash_of(files, {"base": on.id, "repository": image.repository, "uv": host.UV_VERSION, **labels})
    return Plan(name, files, labels, Built(f"{image.repository}:dev-{tag}", archives() / f"{name}-{tag}.tar"))


def ensure(names: Sequence[str] = NAMES) -> dict[str, Built]:
    """Return the named images, building those that no archive holds."""
    chosen = base.recall(archives())
    if chosen:
        plans = [plan(name, chosen) for name in names]
        if all(each.built.archive.exists() for each in plans):
            return _use(plans)
    with _alone():
        engine = engines.choose()
        chosen = base.ensure(engine, archives())
        plans = [plan(name, chosen) for name in names]
        missing = [each for each in plans if not each.built.archive.exists()]
        if missing:
            host.ensure_linux_uv()
        _build_all(missing, engine, chosen.image)
        used = _use(plans)
        for each in missing:
            _prune(each, engine)
    return used


def _use(plans: Sequence[Plan]) -> dict[str, Built]:
    """Mark the archives as used, so that pruning keeps what was used last rather than what was built last."""
    for each in plans:
        os.utime(each.built.archive)
    return {each.name: each.built for each in plans}


@contextmanager
def _alone() -> Iterator[None]:
    """Let one process build at a time; the others wait, and then find the work done."""
    archives().mkdir(parents=True, exist_ok=True)
    with (archives() / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process builds images; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left_by_a_killed_build in archives().glob(f"{_SCRATCH}*"):
            shutil.rmtree(left_by_a_killed_build)
        yield


def _build_all(missing: Sequence[Plan], engine: engines.Engine, base_image: str) -> None:
    """Build several images at once; after a failure none is begun."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            for done in [pool.submit(_build, each, engine, base_image) for each in missing]:
                done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _build(wanted: Plan, engine: engines.Engine, base_image: str) -> None:
    """Build one image and write its archive."""
    log = archives() / "logs" / f"{wanted.name}.log"
    log.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=archives(), prefix=_SCRATCH) as scratch:
        context = Path(scratch, "context")
        write_context(wanted.files, context)
        # Beside the inputs but not one of them: its version is what the tag is made from.
        (context / "uv").hardlink_to(host.ensure_linux_uv())
        ca = host.find_ca(os.environ)
        settings = Path(scratch, "host")
        settings.touch(mode=0o600)
        settings.write_text(host.write_settings(os.environ, ca))
        secrets = {"host": settings, "ca": ca or settings}
        labels = {**wanted.labels, **_origin()}
        request = engines.Request(wanted.built.ref, context, base_image, labels, secrets)
        run(engine.build(request), log, f"{wanted.name}: build")
        unfinished = Path(scratch, "image.tar")
        run(engine.save(wanted.built.ref, unfinished), log, f"{wanted.name}: archive")
        unfinished.rename(wanted.built.archive)
    say(f"{wanted.built.ref}: {wanted.built.archive.stat().st_size / 2**20:.0f} MiB")


def _origin() -> dict[str, str]:
    """Return the labels that say where the sources are.

    They are no inputs: a commit or a clone that changes no input makes no new image.
    """
    asked = {"revision": ("rev-parse", "HEAD"), "source": ("remote", "get-url", "origin")}
    labels = {}
    for name, question in asked.items():
        done = subprocess.run(["git", *question], cwd=ROOT, capture_output=True, text=True, check=False)
        answer = done.stdout.strip()
        # A clone's origin may be a folder of this machine, or a URL with a password.
        if done.returncode == 0 and (name == "revision" or (answer.startswith("https://") and "@" not in answer)):
            labels[f"org.opencontainers.image.{name}"] = answer
    return labels


def _prune(wanted: Plan, engine: engines.Engine) -> None:
    """Remove the older archives of an image, here and in the engine's store."""
    found = sorted(archives().glob(f"{wanted.name}-*.tar"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in found[_KEPT:]:
        tag = old.stem.removeprefix(f"{wanted.name}-")
        old.unlink()
        ref = f"{IMAGES[wanted.name].repository}:dev-{tag}"
        subprocess.run(engine.remove(ref), capture_output=True, check=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m images.build", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which images (default: all): {', '.join(NAMES)}")
    parser.add_argument("--values", choices=sorted(CHARTS), help="print the Helm values of this chart for its images")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in IMAGES]
    if unknown:
        parser.error(f"no such image: {', '.join(unknown)}. There are: {', '.join(NAMES)}")
    # The commands that run then fail, which ends this process with its scratch folders removed.
    signal.signal(signal.SIGTERM, lambda *_: stop())
    try:
        if given.values:
            names, values = CHARTS[given.values]
            refs = {name: built.ref for name, built in ensure(names).items()}
            print(yaml.safe_dump(values(refs), sort_keys=False), end="")
        else:
            for built in ensure(given.names or NAMES).values():
                print(built.ref, built.archive)
    except BuildError as error:
        print(f"images: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
