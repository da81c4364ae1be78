"""The last step of `fetch`: compare the model's requirements with the image, and install the difference if asked to.

Only the difference: what the image has in a version that the model accepts is left to the image. `fetch` has the
credentials of the registry, so no code of a package may run in it, and it has no compiler: wheels only.
"""

import hashlib
import importlib
import json
import logging
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from modelvane_serving.environment import resolver
from modelvane_serving.environment.layer import PACKAGES_DIR
from modelvane_serving.environment.requirements import (
    FROM_MODEL,
    STAND_INS,
    Difference,
    Installed,
    Lookup,
    Requirements,
    describe,
    find_differences,
    read_requirements,
    wheel_of,
)
from modelvane_serving.failure import ENVIRONMENT_FAILED, StartError, redact
from modelvane_serving.fetching.node_cache import NodeCache
from modelvane_serving.manifest import ARTIFACTS_DIR, FACTS_FILE, read_tree

_log = logging.getLogger(__name__)

# Changes when a layer is made in another way.
FORMAT: Final = 1
# Where packages come from is part of what they are: two tenants of a node may mean two packages by one name.
INDEX_VARIABLES: Final = (*resolver.CONFIGURED, "UV_CONFIG_FILE")


def prepare_environment(model_dir: Path, mode: str, cache: NodeCache) -> str | None:
    """Compare, install what differs if the model's environment is asked for, and return what still differs."""
    started = time.monotonic()
    packages = model_dir / PACKAGES_DIR
    # From an earlier run of this container.
    shutil.rmtree(packages, ignore_errors=True)
    requirements = read_requirements(model_dir / ARTIFACTS_DIR)
    python = platform.python_version()
    differences = find_differences(requirements, look_up(sys.path), python)
    facts: dict[str, Any] = {"mode": mode, "python": {"wanted": requirements.python, "installed": python}}
    fields: dict[str, object] = {"mode": mode}
    wanting = [difference for difference in differences if difference.package != "python"]
    if mode == FROM_MODEL and wanting:
        cached = _provide(requirements, wanting, packages, cache)
        importlib.invalidate_caches()
        differences = find_differences(requirements, look_up([str(packages), *sys.path]), python)
        facts["layer"] = {"packages": _contents(packages), "bytes": _size(packages)}
        fields |= {"packages": len(facts["layer"]["packages"]), "bytes": facts["layer"]["bytes"], "cached": cached}
    facts["differences"] = [difference.to_json() for difference in differences]
    path = model_dir / FACTS_FILE
    content = {**json.loads(path.read_text(encoding="utf-8")), "environment": facts}
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
    fields |= {"differences": len(differences), "seconds": round(time.monotonic() - started, 3)}
    _log.info("environment compared with the model's requirements", extra={"fields": fields})
    return describe(differences)


def look_up(path: Sequence[str]) -> Lookup:
    """Return the function that says what is installed in these directories; the first one wins."""

    def find(name: str) -> Installed | None:
        found = next(iter(Distribution.discover(name=name, path=list(path))), None)
        if found is None:
            return None
        return Installed(version=found.version, requires=tuple(found.requires or ()), urls=_origins(found))

    return find


def _origins(distribution: Distribution) -> tuple[str, ...]:
    """Read where it was installed from: for a repository, by the revision that was asked for and by the commit."""
    try:
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
        url, source = origin.get("url"), origin.get("vcs_info")
        if source is None:
            return (url,) if url else ()
        revisions = filter(None, (source.get("requested_revision"), source.get("commit_id")))
        address = f"{source['vcs']}+{url}"
        return (address, *(f"{address}@{revision}" for revision in revisions))
    except (ValueError, KeyError, AttributeError):
        return ()


def layer_key(requirements: Requirements) -> str:
    """Name a layer by everything that decides what is in it."""
    content = {
        "format": FORMAT,
        "packages": [_identify(requirement) for requirement in requirements.packages],
        "constraints": [str(requirement) for requirement in requirements.constraints],
        "hashes": {name: sorted(hashes) for name, hashes in sorted(requirements.hashes.items())},
        "places": [redact(place) for place in requirements.places],
        "index": {name: redact(os.environ[name]) for name in INDEX_VARIABLES if name in os.environ},
        "python": [platform.python_implementation(), platform.python_version(), sysconfig.get_platform()],
        "libc": platform.libc_ver(),
        "installed": sorted(info.name for folder in sys.path for info in Path(folder).glob("*.*-info")),
    }
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _provide(requirements: Requirements, differences: Sequence[Difference], packages: Path, cache: NodeCache) -> bool:
    """Fill the directory, from the node's cache if it can; return whether it came from there."""
    _refuse_sources(requirements, differences)
    key = {"layer": layer_key(requirements)}
    with cache.locked(key):
        packages.mkdir()
        if cache.restore(key, packages, None) is not None:
            return True
        # What was not whole may have left a part.
        shutil.rmtree(packages)
        where = look_up(sys.path)
        as_image = [as_installed(requirement, where) for requirement in requirements.packages]
        # An index may have only the package that the model names, not what the image has in its place.
        as_named = [_pin_satisfied(requirement, where) for requirement in requirements.packages]
        resolver.install(
            # Twice only if they are not the same.
            attempts=[as_image] if list(map(str, as_image)) == list(map(str, as_named)) else [as_image, as_named],
            requirements=requirements,
            differences=differences,
            packages=packages,
        )
        _drop_standard_library(packages)
        if cache.root is not None:
            _compile(packages)
        cache.keep(key, packages, read_tree(packages))
    return False


def _refuse_sources(requirements: Requirements, differences: Sequence[Difference]) -> None:
    """Refuse what could only be had by running its code, before anything is downloaded for it."""
    wanting = {difference.package for difference in differences}
    sources = [
        requirement.name
        for requirement in requirements.packages
        if requirement.url and canonicalize_name(requirement.name) in wanting and wheel_of(requirement) is None
    ]
    unnamed = [redact(line) for line in requirements.unread]
    if sources or unnamed:
        raise StartError(
            ENVIRONMENT_FAILED,
            f"{', '.join((*sources, *unnamed))} would have to be built, and only wheels are installed: log the model "
            "with a wheel of it (mlflow.models.add_libraries_to_model), or serve it from an image that has it",
        )


def as_installed(requirement: Requirement, where: Lookup) -> Requirement:
    """Ask for what the image has in place of a package, so that it is kept or replaced by its like."""
    name = canonicalize_name(requirement.name)
    if name not in STAND_INS or requirement.url or where(name) is not None or where(STAND_INS[name]) is None:
        return _pin_satisfied(requirement, where)
    replaced = Requirement(str(requirement))
    replaced.name = STAND_INS[name]
    return replaced


def _pin_satisfied(requirement: Requirement, where: Lookup) -> Requirement:
    """Ask for the version instead of the address of what the image has from there: nobody has to be asked for it."""
    installed = where(canonicalize_name(requirement.name))
    if requirement.url and installed and wheel_of(requirement) is None:
        return Requirement(f"{requirement.name}=={installed.version}")
    return requirement


def _identify(requirement: Requirement) -> str:
    """Name a requirement by what it holds, where that is in the model's own files."""
    if requirement.url is not None and requirement.url.startswith("file://"):
        wheel = Path(requirement.url.removeprefix("file://"))
        content = wheel.read_bytes() if wheel.is_file() else b""
        return f"{requirement.name} @ sha256:{hashlib.sha256(content).hexdigest()}"
    return redact(str(requirement))


def _drop_standard_library(packages: Path) -> None:
    """Remove modules that the standard library has too: from where packages usually are, they are never imported."""
    for entry in packages.iterdir():
        if entry.name.partition(".")[0] in sys.stdlib_module_names:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _compile(packages: Path) -> None:
    """Make the byte code, which `serve` cannot write.

    It takes several times as long as a start that has to do without it, so only for pods that come after. By hash, not
    by time: copies have times of their own.
    """
    command = [sys.executable, "-m", "compileall", "-qq", "-j", "0", "-x", "/tests?/"]
    subprocess.run([*command, "--invalidation-mode", "unchecked-hash", str(packages)], check=False)


def _contents(packages: Path) -> dict[str, str]:
    found = Distribution.discover(path=[str(packages)])
    return dict(sorted((canonicalize_name(distribution.name), distribution.version) for distribution in found))


def _size(packages: Path) -> int:
    return sum(path.stat().st_size for path in packages.rglob("*") if path.is_file())
