"""What a model was made with, and how that differs from what it is served with.

Pure but for reading the model's own files: what is installed is asked of a function that the caller gives. `fetch`
calls it, through `layer`, and writes the result where `serve` and the operator find it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urldefrag, urlsplit

import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from modelvane_serving.failure import one_line, redact

IMAGE: Final = "Image"
FROM_MODEL: Final = "FromModel"

REQUIREMENTS_FILE: Final = "requirements.txt"
PYTHON_FILE: Final = "python_env.yaml"
# Leaves the operator room for its own words around it.
SENTENCE_LIMIT: Final = 500
VERSION_LIMIT: Final = 120

# What the image has instead of the package that a model asks for: the same modules with fewer dependencies, or for CPUs
# only. MLflow writes the name `mlflow` into every model, whichever of the two was installed, and lists beside it each
# dependency of `mlflow` that the model itself imports; so the small one of the same version is all that is asked for.
STAND_INS: Final = {"mlflow": "mlflow-skinny", "xgboost": "xgboost-cpu"}

# Options of a requirements file that say where packages are. What else pip takes there changes nothing for wheels.
_PLACES: Final = {
    "-i": "--index-url",
    "--index-url": "--index-url",
    "--extra-index-url": "--extra-index-url",
    "-f": "--find-links",
    "--find-links": "--find-links",
}
_FILES: Final = {"-r": False, "--requirement": False, "-c": True, "--constraint": True}


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """What the model's files ask for, as far as it applies to this Python and this platform."""

    packages: tuple[Requirement, ...] = ()
    constraints: tuple[Requirement, ...] = ()
    hashes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    places: tuple[str, ...] = ()
    """Where to look for packages: options as uv takes them."""
    unread: tuple[str, ...] = ()
    """Lines that name no package."""
    python: str | None = None


@dataclass(frozen=True, kw_only=True)
class Installed:
    """One installed distribution."""

    version: str
    requires: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    """Where it was installed from, in the ways that a requirement may say so; empty if from an index."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One package that is not as the model wants it; `installed` is None when there is none."""

    package: str
    wanted: str
    installed: str | None

    def __str__(self) -> str:
        wanted = f"wanted {self.wanted}" if self.wanted else "wanted"
        return f"{self.package} {self.installed or 'missing'}, {wanted}"

    def to_json(self) -> dict[str, str | None]:
        """Return it as it stands in facts.json."""
        return {"package": self.package, "wanted": self.wanted, "installed": self.installed}


Lookup = Callable[[str], Installed | None]


def read_requirements(artifacts: Path) -> Requirements:
    """Read requirements.txt, the files it names, and the Python version. What is not there asks for nothing."""
    reader = _Reader(artifacts.resolve())
    reader.read(artifacts.resolve() / REQUIREMENTS_FILE, constraint=False)
    return Requirements(
        packages=tuple(reader.packages),
        constraints=tuple(reader.constraints),
        hashes={name: tuple(hashes) for name, hashes in reader.hashes.items()},
        places=tuple(reader.places),
        unread=tuple(reader.unread),
        python=_read_python(artifacts / PYTHON_FILE),
    )


def find_differences(requirements: Requirements, lookup: Lookup, python: str) -> list[Difference]:
    """Compare what is asked for with what is installed, in the order of the model's file."""
    found: dict[str, Difference] = {}
    limits: dict[str, SpecifierSet] = {}
    for constraint in requirements.constraints:
        name = canonicalize_name(constraint.name)
        limits[name] = limits.get(name, SpecifierSet()) & constraint.specifier
    for requirement in requirements.packages:
        for difference in _compare(requirement, limits, lookup, set()):
            found.setdefault(difference.package, difference)
    for line in requirements.unread:
        shown = redact(one_line(line, VERSION_LIMIT))
        found.setdefault(shown, Difference(package=shown, wanted="as a package with a name", installed=None))
    differences = list(found.values())
    # The last number of a Python version is corrections only: wheels are made for the first two.
    if requirements.python and Version(requirements.python).release[:2] != Version(python).release[:2]:
        differences.append(Difference(package="python", wanted=requirements.python, installed=python))
    return differences


def describe(differences: Iterable[Difference]) -> str | None:
    """Say it in one short sentence; None when nothing differs."""
    texts = [str(difference) for difference in differences]
    if not texts:
        return None
    start = "the environment differs from the model's requirements: "
    shown = list(texts)
    while True:
        more = len(texts) - len(shown)
        sentence = start + "; ".join(shown) + (f"; and {more} more" if more else "")
        if len(sentence) <= SENTENCE_LIMIT or len(shown) == 1:
            return one_line(sentence, SENTENCE_LIMIT)
        shown.pop()


def wheel_of(requirement: Requirement) -> tuple[str, Version] | None:
    """Read name and version off the address of a wheel; None if the requirement has no such address."""
    if requirement.url is None:
        return None
    try:
        name, version, _, _ = parse_wheel_filename(Path(unquote(urlsplit(requirement.url).path)).name)
    except (InvalidWheelFilename, InvalidVersion):
        return None
    return name, version


def _compare(
    requirement: Requirement, limits: Mapping[str, SpecifierSet], lookup: Lookup, seen: set[str]
) -> Iterator[Difference]:
    """Compare one requirement; what its extras ask for is looked at as if it were asked for by name."""
    name = canonicalize_name(requirement.name)
    installed = lookup(name)
    if installed is None and name in STAND_INS:
        installed = lookup(STAND_INS[name])
    specifier = requirement.specifier & limits.get(name, SpecifierSet())
    if installed is None or not _satisfies(installed, requirement, specifier):
        version = installed.version if installed else None
        yield Difference(package=name, wanted=_wanted(requirement, specifier), installed=version)
        return
    for extra in sorted(requirement.extras):
        if f"{name}[{extra}]" in seen:
            continue
        seen.add(f"{name}[{extra}]")
        for text in installed.requires:
            part = Requirement(text)
            if part.marker and part.marker.evaluate({"extra": extra}) and not part.marker.evaluate({"extra": ""}):
                yield from _compare(part, limits, lookup, seen)


def _satisfies(installed: Installed, requirement: Requirement, specifier: SpecifierSet) -> bool:
    wheel = wheel_of(requirement)
    try:
        if wheel is not None:
            return Version(installed.version) == wheel[1]
        if requirement.url is not None:
            return redact(urldefrag(requirement.url).url) in map(redact, installed.urls)
        # Whoever trained with a pre-release was served by it.
        return specifier.contains(installed.version, prereleases=True)
    except InvalidVersion:
        return False


def _wanted(requirement: Requirement, specifier: SpecifierSet) -> str:
    wheel = wheel_of(requirement)
    if wheel is not None:
        return f"=={wheel[1]}"
    return one_line(f"@ {redact(requirement.url)}" if requirement.url else str(specifier), VERSION_LIMIT)


def _read_python(path: Path) -> str | None:
    """Read the version; as text, because to YAML 3.10 is the number 3.1."""
    try:
        content: Any = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - makes text only
        version = str(content["python"])
        Version(version)
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return None
    return version


class _Reader:
    """Reads a requirements file as pip does, inside of the model's directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.packages: list[Requirement] = []
        self.constraints: list[Requirement] = []
        self.hashes: dict[str, list[str]] = {}
        self.places: list[str] = []
        self.unread: list[str] = []
        self._seen: set[tuple[Path, bool]] = set()

    def read(self, path: Path, *, constraint: bool) -> None:
        path = path.resolve()
        if (path, constraint) in self._seen or not path.is_relative_to(self.root) or not path.is_file():
            return
        self._seen.add((path, constraint))
        text = path.read_text(encoding="utf-8", errors="replace").removeprefix("\ufeff")
        for line in re.sub(r"\\\r?\n", " ", text).splitlines():
            stripped = re.sub(r"(^|\s)#.*$", "", line).strip()
            if stripped.startswith("-"):
                self._read_option(stripped, path.parent, constraint=constraint)
            elif stripped:
                self._read_package(stripped, path.parent, constraint=constraint)

    def _read_option(self, line: str, folder: Path, *, constraint: bool) -> None:
        # `-rbase.txt` and `--requirement=base.txt` are good to pip too.
        option = re.fullmatch(r"(--[a-z-]+|-[a-z])[=\s]?\s*(.*)", line)
        if option is None:
            return
        name, value = option[1], option[2].strip("'\"")
        if name in _FILES:
            self.read(folder / value, constraint=constraint or _FILES[name])
        elif name in {"-e", "--editable"}:
            self._read_package(value, folder, constraint=constraint)
        elif name in _PLACES and "://" in value:
            self.places += [_PLACES[name], value]
        elif name == "--pre":
            self.places += ["--prerelease", "allow"]

    def _read_package(self, line: str, folder: Path, *, constraint: bool) -> None:
        text = re.split(r"\s--?[a-z]", line, maxsplit=1)[0].strip()
        requirement = self._parse(text, folder)
        if requirement is None:
            self.unread.append(text)
        elif requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            (self.constraints if constraint else self.packages).append(requirement)
            hashes = re.findall(r"\s--hash[=\s]+(\S+)", line)
            if hashes:
                self.hashes.setdefault(canonicalize_name(requirement.name), []).extend(hashes)

    def _parse(self, text: str, folder: Path) -> Requirement | None:
        try:
            if text.endswith(".whl") and " " not in text:
                name, _, _, _ = parse_wheel_filename(Path(unquote(urlsplit(text).path)).name)
                if "://" in text:
                    return Requirement(f"{name} @ {text}")
                path = (folder / text).resolve()
                inside = path.is_relative_to(self.root) and path.is_file()
                return Requirement(f"{name} @ {path.as_uri()}") if inside else None
            egg = re.search(r"^\S+://\S+[#&]egg=([A-Za-z0-9._-]+)", text)
            return Requirement(f"{egg.group(1)} @ {text}" if egg else text)
        except (InvalidRequirement, InvalidWheelFilename, InvalidVersion):
            return None
