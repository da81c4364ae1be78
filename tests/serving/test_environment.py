"""What a model's files ask for, and what is said when the image has something else."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from modelvane_serving.environment.requirements import (
    SENTENCE_LIMIT,
    Difference,
    Installed,
    Lookup,
    describe,
    find_differences,
    read_requirements,
)

PYTHON = "3.11.7"
IMAGE = {
    "mlflow-skinny": Installed(version="3.17.2"),
    "xgboost-cpu": Installed(version="3.1.0"),
    "numpy": Installed(version="2.4.6"),
    "torch": Installed(version="2.9.0+cpu"),
    "scikit-learn": Installed(version="1.8.0"),
    "odd": Installed(version="not-a-version"),
    "ours": Installed(version="1.0", urls=("git+https://git.example/ours@abc",)),
    "web": Installed(
        version="2.0",
        requires=(
            "numpy>=2",
            "fast>=1; extra == 'speed'",
            "numpy>=9; extra == 'speed'",
            "web[speed]; extra == 'all'",
            "lost; python_version < '3' and extra == 'speed'",
        ),
    ),
}


def look_up(installed: Mapping[str, Installed] = IMAGE) -> Lookup:
    return installed.get


def write(folder: Path, requirements: str, **files: str) -> Path:
    (folder / "requirements.txt").write_text(requirements)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def differ(folder: Path, installed: Mapping[str, Installed] = IMAGE) -> list[tuple[str, str, str | None]]:
    found = find_differences(read_requirements(folder), look_up(installed), PYTHON)
    return [(difference.package, difference.wanted, difference.installed) for difference in found]


@pytest.mark.parametrize(
    ("requirements", "expected"),
    [
        ("", []),
        ("numpy==2.4.6\nscikit-learn>=1.7,<2\n", []),
        ("numpy==2.3.0", [("numpy", "==2.3.0", "2.4.6")]),
        ("Scikit_Learn==1.7.2  # as in training", [("scikit-learn", "==1.7.2", "1.8.0")]),
        ("lightgbm", [("lightgbm", "", None)]),
        ("lightgbm==4.6.0 ; python_version < '3.9'", []),
        ("lightgbm \\\n  ==4.6.0 \\\n  --hash=sha256:ab", [("lightgbm", "==4.6.0", None)]),
        # A wheel for CPUs only is what an image has of it.
        ("torch==2.9.0", []),
        ("odd==1.0", [("odd", "==1.0", "not-a-version")]),
        ("numpy==2.4.6\nnumpy<2", [("numpy", "<2", "2.4.6")]),
        ("--pre\n--extra-index-url https://wheels.example\n--no-binary :all:\nnumpy", []),
    ],
)
def test_what_differs_is_named_with_what_is_wanted(
    tmp_path: Path, requirements: str, expected: list[tuple[str, str, str | None]]
) -> None:
    assert differ(write(tmp_path, requirements)) == expected


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        ("mlflow==3.17.2", []),
        ("mlflow", []),
        ("mlflow==3.16.0", [("mlflow", "==3.16.0", "3.17.2")]),
        ("mlflow-skinny==3.16.0", [("mlflow-skinny", "==3.16.0", "3.17.2")]),
        ("xgboost==3.1.0", []),
        ("xgboost==2.1.4", [("xgboost", "==2.1.4", "3.1.0")]),
    ],
)
def test_what_the_image_has_in_place_of_a_package_counts_in_the_same_version(
    tmp_path: Path, requirement: str, expected: list[tuple[str, str, str | None]]
) -> None:
    assert differ(write(tmp_path, requirement)) == expected


def test_the_package_itself_comes_before_what_stands_in_for_it(tmp_path: Path) -> None:
    both = {"mlflow": Installed(version="3.15.0"), "mlflow-skinny": Installed(version="3.17.2")}
    assert differ(write(tmp_path, "mlflow==3.17.2"), both) == [("mlflow", "==3.17.2", "3.15.0")]


@pytest.mark.parametrize("extra", ["speed", "all"])
def test_what_an_extra_asks_for_is_asked_for(tmp_path: Path, extra: str) -> None:
    assert differ(write(tmp_path, "web")) == []
    assert differ(write(tmp_path, f"web[{extra}]==2.0")) == [("fast", ">=1", None), ("numpy", ">=9", "2.4.6")]


def test_files_that_requirements_name_are_read_inside_the_model_only(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (tmp_path / "outside.txt").write_text("secret==1\n")
    write(
        model,
        "-r more.txt\n-rmore.txt\n--requirement=requirements.txt\n"
        "-r ../outside.txt\n-r gone.txt\n-c limits.txt\nnumpy\n",
        more__txt="lightgbm==4.6.0",
        limits__txt="numpy<2\nnever-mentioned==1",
    )
    assert differ(model) == [("lightgbm", "==4.6.0", None), ("numpy", "<2", "2.4.6")]
    assert [str(constraint) for constraint in read_requirements(model).constraints] == ["numpy<2", "never-mentioned==1"]


def test_a_wheel_among_the_models_files_is_known_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "ours-1.0-py3-none-any.whl").touch()
    (tmp_path / "wheels" / "numpy-2.3.0-cp311-cp311-manylinux_2_28_x86_64.whl").touch()
    write(
        tmp_path,
        "wheels/ours-1.0-py3-none-any.whl\n"
        "wheels/numpy-2.3.0-cp311-cp311-manylinux_2_28_x86_64.whl\n"
        "wheels/gone-1.0-py3-none-any.whl\n../else-1.0-py3-none-any.whl\nbad.whl\n",
    )
    wanted = "as a package with a name"
    assert differ(tmp_path) == [
        ("numpy", "==2.3.0", "2.4.6"),
        ("wheels/gone-1.0-py3-none-any.whl", wanted, None),
        ("../else-1.0-py3-none-any.whl", wanted, None),
        ("bad.whl", wanted, None),
    ]


def test_an_address_is_compared_with_where_the_package_came_from(tmp_path: Path) -> None:
    write(tmp_path, "ours @ git+https://user:swordfish@git.example/ours@abc\n")
    assert differ(tmp_path) == []
    write(tmp_path, "-e git+https://user:swordfish@git.example/ours@def#egg=ours\n./folder\n")
    assert differ(tmp_path) == [
        ("ours", "@ git+https://git.example/ours@def#egg=ours", "1.0"),
        ("./folder", "as a package with a name", None),
    ]


def test_where_packages_are_and_what_they_hash_to_is_kept(tmp_path: Path) -> None:
    write(
        tmp_path,
        "-i https://one.example/simple\n--extra-index-url=https://two.example\n--find-links ./local\n--pre\n"
        "numpy==2.4.6 --hash=sha256:ab --hash sha256:cd\n",
    )
    read = read_requirements(tmp_path)
    assert read.places == (
        *("--index-url", "https://one.example/simple", "--extra-index-url", "https://two.example"),
        *("--prerelease", "allow"),
    )
    assert read.hashes == {"numpy": ("sha256:ab", "sha256:cd")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("python: 3.11.2\nbuild_dependencies:\n- pip==24.0\n", []),
        ("python: 3.10\n", [("python", "3.10", PYTHON)]),
        ("python: '3.12.1'\n", [("python", "3.12.1", PYTHON)]),
        ("python: snake\n", []),
        ("- a list\n", []),
        ("python: [", []),
        ("dependencies: []\n", []),
    ],
)
def test_another_python_is_a_difference_and_another_correction_of_it_is_none(
    tmp_path: Path, text: str, expected: list[tuple[str, str, str | None]]
) -> None:
    assert differ(write(tmp_path, "", python_env__yaml=text)) == expected


def test_a_model_without_requirements_asks_for_nothing(tmp_path: Path) -> None:
    assert differ(tmp_path) == []


def test_bytes_that_are_no_text_are_no_reason_to_fail(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_bytes(b"\xef\xbb\xbfnumpy==2.4.6\n# caf\xe9\n\xff\xfe==1\n-r 'half\n")
    assert [package for package, _, _ in differ(tmp_path)] == ["\ufffd\ufffd==1"]


def test_the_sentence_names_what_there_is_room_for() -> None:
    assert describe([]) is None
    two = [
        Difference(package="scikit-learn", wanted="==1.6.1", installed="1.8.0"),
        Difference(package="lightgbm", wanted="", installed=None),
    ]
    assert describe(two) == (
        "the environment differs from the model's requirements: "
        "scikit-learn 1.8.0, wanted ==1.6.1; lightgbm missing, wanted"
    )
    many = [Difference(package=f"package-number-{number}", wanted="==1", installed="2") for number in range(100)]
    sentence = describe(many)
    assert sentence is not None
    assert SENTENCE_LIMIT - 60 < len(sentence) <= SENTENCE_LIMIT
    shown = sentence.count("package-number-")
    assert sentence.endswith(f"; and {100 - shown} more")


def test_one_long_name_is_cut() -> None:
    sentence = describe([Difference(package="x" * 600, wanted="==1", installed=None)])
    assert sentence is not None
    assert len(sentence) == SENTENCE_LIMIT
