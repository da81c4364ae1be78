import shutil
from pathlib import Path

import pytest

from images import base, build
from images.catalog import IMAGES, ROOT, read_context, read_labels

# The names by which charts, clusters and tests ask for images.
EXPECTED = {"mlflow", "serving", "operator", "postgres", "seaweedfs", "traefik", "envoy", "base"}
OFFICIAL = base.Base(base.OFFICIAL, "sha256:1")


def test_every_expected_image_can_be_planned() -> None:
    assert set(build.NAMES) == EXPECTED


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_context_holds_every_file_its_containerfile_takes(name: str) -> None:
    files = read_context(IMAGES[name])
    for line in files["Containerfile"].data.decode().splitlines():
        words = line.split()
        if words[:1] == ["COPY"] and not words[1].startswith("--from="):
            for source in words[1:-1]:
                assert any(path == source or path.startswith(f"{source}/") for path in files), line
        for word in words:
            if word.startswith("--mount=type=bind,source="):
                source = word.split("source=")[1].split(",")[0]
                assert source == "uv" or source in files, line


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_final_stage_runs_without_rights_of_root(name: str) -> None:
    lines = read_context(IMAGES[name])["Containerfile"].data.decode().splitlines()
    users = [line for line in lines if line.startswith("USER ")]
    assert users == ["USER 999:999" if name == "postgres" else "USER 65532:65532"]


@pytest.mark.parametrize("name", ["mlflow", "serving", "operator"])
def test_dependencies_come_from_the_lock_with_hashes(name: str) -> None:
    lines = read_context(IMAGES[name])["requirements.txt"].data.decode().splitlines()
    packages = [line for line in lines if not line.startswith(" ")]
    assert len(packages) > 20
    assert all("==" in line and line.endswith("\\") for line in packages)


def test_the_version_label_is_that_of_what_the_image_runs() -> None:
    assert read_labels(IMAGES["mlflow"]) == {"org.opencontainers.image.version": "3.17.2"}
    assert read_labels(IMAGES["postgres"]) == {}


def test_the_package_and_no_other_part_of_the_checkout_makes_the_operator_image(tmp_path: Path) -> None:
    for name in ("operator", "serving", "images"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "uv.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    before = read_context(IMAGES["operator"], tmp_path)
    (tmp_path / "serving" / "src" / "modelvane_serving" / "__init__.py").write_text("changed = 1\n")
    (tmp_path / "operator" / "README.md").write_text("Not copied.\n")
    assert read_context(IMAGES["operator"], tmp_path) == before
    (tmp_path / "operator" / "src" / "modelvane" / "__init__.py").write_text("changed = 1\n")
    assert read_context(IMAGES["operator"], tmp_path) != before


def test_another_base_makes_another_tag() -> None:
    on_official = build.plan("base", OFFICIAL).built
    assert on_official.ref != build.plan("base", base.DEBIAN).built.ref
    assert on_official.archive.name == f"base-{on_official.ref.rpartition(':dev-')[2]}.tar"
