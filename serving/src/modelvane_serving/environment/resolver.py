"""Has uv find out which packages make the difference, and install those.

First a dry run against the image's own packages: uv keeps what is installed and satisfies, without asking an index for
it, and says what it would change. Then just that goes into a directory, without dependencies: they are part of it.
"""

import importlib.metadata
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uv
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from modelvane_serving.environment.requirements import Difference, Requirements, wheel_of
from modelvane_serving.failure import ENVIRONMENT_FAILED, FETCH_FAILED, StartError, one_line, redact

_log = logging.getLogger(__name__)

WORK_DIR: Final = ".uv"
# Our own lower bounds say what we were built with. Whether it runs with what the model wants, the pod finds out: it
# must answer before it is Ready.
OWN: Final = "modelvane-serving"
# Set by whoever runs the cluster: packages come from there, wherever the model's own files would have them from.
CONFIGURED: Final = (
    *("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX"),
    "UV_OFFLINE",
)
# What uv says when nobody answered, or answered that it has a problem of its own: that is no verdict on the model.
UNREACHABLE: Final = re.compile(r"Request failed after|error sending request|HTTP status server error|timed out")


class _UvError(Exception):
    """What uv said, without credentials."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


@dataclass(frozen=True, kw_only=True)
class _Uv:
    """Runs `uv pip install` in a directory of its own, which is gone afterwards."""

    work: Path
    options: Sequence[str]

    def changes(self, lines: Sequence[str], *options: str) -> dict[str, str]:
        """Run it, and return what was installed or would be, by name."""
        asked = self.work / "requirements.txt"
        asked.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        command = [
            *(uv.find_uv_bin(), "pip", "install", "--requirements", str(asked), "--python", sys.executable),
            *("--only-binary", ":all:", "--no-python-downloads", "--break-system-packages"),
            *("--output-format", "json", "--color", "never", "--no-progress", *self.options, *options),
        ]
        variables = {
            # On the file system of the model, so that what is unpacked there needs not be copied.
            "UV_CACHE_DIR": str(self.work / "cache"),
            **os.environ,
        }
        done = subprocess.run(command, cwd=self.work, env=variables, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise _UvError(redact(done.stderr))
        changes = json.loads(done.stdout)["changes"]
        return {
            canonicalize_name(change["name"]): change["version"]
            for change in changes
            if change["action"] != "uninstalled"
        }


def install(
    *,
    attempts: Sequence[Sequence[Requirement]],
    requirements: Requirements,
    differences: Sequence[Difference],
    packages: Path,
) -> None:
    """Install what differs from the image, with what it needs; the first attempt that has a solution is taken."""
    work = packages.parent / WORK_DIR
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        constraints = work / "constraints.txt"
        constraints.write_text("".join(f"{line}\n" for line in requirements.constraints), encoding="utf-8")
        places = () if any(os.environ.get(name) for name in CONFIGURED) else requirements.places
        # What the model was made with looked at all of its indexes for each package: pip knows no other way.
        strategy = ("--index-strategy", "unsafe-best-match") if places and "UV_INDEX_STRATEGY" not in os.environ else ()
        runner = _Uv(work=work, options=(*places, *strategy))
        _install(runner, attempts, requirements, packages)
    except _UvError as error:
        raise _explain(error, differences) from None
    except (OSError, ValueError, KeyError) as error:
        raise StartError(ENVIRONMENT_FAILED, f"uv did not do its work: {type(error).__name__}: {error}") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _install(uv_: _Uv, attempts: Sequence[Sequence[Requirement]], requirements: Requirements, packages: Path) -> None:
    constrained = ("--constraints", str(uv_.work / "constraints.txt"), "--dry-run")
    for number, attempt in enumerate(attempts, start=1):
        try:
            lines = [str(requirement) for requirement in attempt]
            chosen = uv_.changes(lines, *constrained)
            break
        except _UvError as error:
            if number == len(attempts) or UNREACHABLE.search(error.text):
                raise
    chosen = _keep_whole(uv_, lines, chosen, constrained)
    addresses = {str(canonicalize_name(r.name)): r.url for r in attempt if r.url and wheel_of(r)}
    pins = [
        " ".join(
            [f"{name} @ {addresses[name]}" if name in addresses else f"{name}=={version}"]
            + [f"--hash={value}" for value in requirements.hashes.get(name, ())]
        )
        for name, version in chosen.items()
    ]
    uv_.changes(pins, "--no-deps", "--target", str(packages))
    # uv's own.
    (packages / ".lock").unlink(missing_ok=True)


def _keep_whole(uv_: _Uv, lines: list[str], chosen: dict[str, str], options: Sequence[str]) -> dict[str, str]:
    """Ask also for those of the image's packages that could not work with what was chosen.

    A scipy that was built for a newer numpy fails when it is imported, whoever needs it. A package for which there is
    no way is left as it is: most models do without it, and the pod finds out.
    """
    for _ in range(3):
        broken = sorted(set(find_broken(chosen)) - set(lines))
        if not broken:
            return chosen
        try:
            chosen, lines = uv_.changes([*lines, *broken], *options), [*lines, *broken]
            continue
        except _UvError:
            pass
        left = []
        for name in broken:
            try:
                chosen, lines = uv_.changes([*lines, name], *options), [*lines, name]
            except _UvError:
                left.append(name)
        if left:
            fields = {"packages": left}
            _log.warning("packages of the image may not work with the model's", extra={"fields": fields})
            return chosen
    return chosen


def find_broken(chosen: Mapping[str, str], own: Collection[str] = (OWN,)) -> Iterator[str]:
    """Find installed packages whose requirements were met and no longer are."""
    installed = {canonicalize_name(found.name): found for found in reversed([*importlib.metadata.distributions()])}
    for name, found in sorted(installed.items()):
        if name in chosen or name in own:
            continue
        for text in found.requires or ():
            try:
                need = Requirement(text)
            except InvalidRequirement:
                continue
            version = chosen.get(canonicalize_name(need.name))
            before = installed.get(canonicalize_name(need.name))
            if version is None or before is None or (need.marker and not need.marker.evaluate({"extra": ""})):
                continue
            allows = need.specifier.contains
            if allows(before.version, prereleases=True) and not allows(version, prereleases=True):
                yield name
                break


def _explain(error: _UvError, differences: Sequence[Difference]) -> StartError:
    """Say which packages, in uv's words why not, and what can be done."""
    wanted = one_line(", ".join(f"{found.package}{found.wanted}" for found in differences), 200)
    said = re.sub(r"^.*?\berror: ", "", error.text, count=1, flags=re.DOTALL)
    said = re.sub(r"\s*\n\s*cause: ", ": ", said.strip())
    said = one_line(said.replace("\nhint: ", " "), 480)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    if UNREACHABLE.search(error.text):
        return StartError(FETCH_FAILED, f"the package index gave no answer for {wanted}: {said}")
    return StartError(
        ENVIRONMENT_FAILED,
        f"cannot install {wanted}: {said.rstrip('.')}. Name an index that has a wheel of it for Python {python} in "
        "UV_DEFAULT_INDEX or UV_FIND_LINKS of container fetch, or serve from an image that has it (environment: Image)",
    )
