"""The model's environment with a real uv: what is installed, from where, for whom, and what is said if it cannot be."""

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from modelvane_serving.environment.provision import as_installed, look_up, prepare_environment
from modelvane_serving.environment.requirements import Installed
from modelvane_serving.environment.resolver import find_broken
from modelvane_serving.failure import StartError
from modelvane_serving.fetching.node_cache import NodeCache
from modelvane_serving.manifest import ARTIFACTS_DIR, read_tree
from packaging.requirements import Requirement
from uv import find_uv_bin

from tests.serving import train
from tests.serving.processes import Start, environment, free_port
from tests.serving.registry import mlflow_server
from tests.serving.wheels import build_wheel, simple_index

Prepare = Callable[..., dict[str, Any]]

INICONFIG = version("iniconfig")
SAID = "the environment differs from the model's requirements: "


@pytest.fixture(autouse=True)
def _no_index_but_the_tests(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("UV_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an offline index: a directory, and no network."""
    folder = tmp_path / "wheels"
    build_wheel(folder, "iniconfig", "2.0.1", source="ANSWER = 42\n")
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_OFFLINE", "1")
    return folder


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    """Take the last step of `fetch` for a model with these requirements, and return what is written for others."""

    def run(requirements: str, pod: str = "pod", *, mode: str = "FromModel", cache: Path | None = None) -> Any:
        model_dir = tmp_path / pod
        (model_dir / ARTIFACTS_DIR).mkdir(parents=True, exist_ok=True)
        (model_dir / ARTIFACTS_DIR / "requirements.txt").write_text(requirements)
        (model_dir / "facts.json").write_text('{"run_id": "0123abcd"}')
        sentence = prepare_environment(model_dir, mode, NodeCache(cache, 10**8))
        facts = json.loads((model_dir / "facts.json").read_text())
        assert facts.pop("run_id") == "0123abcd"
        assert not (model_dir / ".uv").exists()
        return {**facts["environment"], "sentence": sentence, "packages": model_dir / "packages"}

    return run


def test_only_what_differs_is_installed(prepare: Prepare, wheels: Path) -> None:
    # numpy is nowhere but in the image, and the index has no other version of anything else.
    build_wheel(wheels, "new-one", "2.0", requires=["numpy>=2", "new-part>=1", "iniconfig"])
    build_wheel(wheels, "new-part", "1.5")
    done = prepare(f"new-one==2.0\nnumpy=={version('numpy')}\nscikit-learn\n")
    assert done["layer"]["packages"] == {"new-one": "2.0", "new-part": "1.5"}
    assert done["layer"]["bytes"] == sum(p.stat().st_size for p in done["packages"].rglob("*") if p.is_file())
    assert (done["differences"], done["sentence"]) == ([], None)
    assert done["python"] == {"wanted": None, "installed": sys.version.split()[0]}


def test_the_image_says_what_differs_and_installs_nothing(prepare: Prepare, wheels: Path) -> None:
    done = prepare("iniconfig==2.0.1\nnew-one\n", mode="Image")
    assert done["differences"] == [
        {"package": "iniconfig", "wanted": "==2.0.1", "installed": INICONFIG},
        {"package": "new-one", "wanted": "", "installed": None},
    ]
    assert done["sentence"] == f"{SAID}iniconfig {INICONFIG}, wanted ==2.0.1; new-one missing, wanted"
    assert "layer" not in done
    assert not done["packages"].exists()


def test_a_model_that_the_image_suits_needs_no_index(prepare: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{free_port()}/simple")
    done = prepare(f"mlflow=={version('mlflow')}\nnumpy=={version('numpy')}\n")
    assert (done["differences"], done["sentence"], "layer" in done) == ([], None, False)


def test_an_earlier_run_leaves_nothing(prepare: Prepare, wheels: Path) -> None:
    assert prepare("iniconfig==2.0.1")["packages"].exists()
    assert not prepare("iniconfig==2.0.1", mode="Image")["packages"].exists()


def test_a_wheel_among_the_models_files_is_installed(prepare: Prepare, wheels: Path, tmp_path: Path) -> None:
    build_wheel(tmp_path / "pod" / ARTIFACTS_DIR / "wheels", "ours", "3.0", requires=["iniconfig<2.1"])
    done = prepare("wheels/ours-3.0-py3-none-any.whl\n")
    assert done["layer"]["packages"] == {"iniconfig": "2.0.1", "ours": "3.0"}


def test_constraints_of_the_model_hold(prepare: Prepare, wheels: Path, tmp_path: Path) -> None:
    build_wheel(wheels, "new-part", "1.5")
    build_wheel(wheels, "new-part", "2.5")
    constraints = tmp_path / "pod" / ARTIFACTS_DIR / "constraints.txt"
    constraints.parent.mkdir(parents=True)
    constraints.write_text("new-part<2\n")
    assert prepare("new-part\n-c constraints.txt\n")["layer"]["packages"] == {"new-part": "1.5"}


def test_a_package_of_the_image_that_no_longer_works_comes_along(prepare: Prepare, wheels: Path) -> None:
    build_wheel(wheels, "pluggy", "0.1")
    build_wheel(wheels, "pytest", "7.0", requires=["pluggy<1"])
    assert prepare("pluggy==0.1")["layer"]["packages"] == {"pluggy": "0.1", "pytest": "7.0"}


def test_a_package_of_the_image_that_cannot_be_had_is_left(
    prepare: Prepare, wheels: Path, caplog: pytest.LogCaptureFixture
) -> None:
    build_wheel(wheels, "pluggy", "0.1")
    with caplog.at_level(logging.WARNING):
        assert prepare("pluggy==0.1")["layer"]["packages"] == {"pluggy": "0.1"}
    (warned,) = caplog.records
    assert "pytest" in warned.__dict__["fields"]["packages"]


def test_what_breaks_is_what_was_whole() -> None:
    assert "scipy" in set(find_broken({"numpy": "1.0"}))
    assert set(find_broken({"numpy": version("numpy")})) == set()
    # The image's builder knew: botocore caps it, and has it newer all the same.
    assert "botocore" not in set(find_broken({"python-dateutil": "3.0"}))


def test_modules_of_the_standard_library_are_not_replaced(prepare: Prepare, wheels: Path) -> None:
    build_wheel(wheels, "dataclasses", "0.6", source="raise ImportError")
    done = prepare("dataclasses==0.6\niniconfig==2.0.1")
    assert done["differences"] == []
    assert not (done["packages"] / "dataclasses.py").exists()
    assert (done["packages"] / "iniconfig.py").exists()


@pytest.mark.parametrize(
    ("installed", "asked", "expected"),
    [
        ({"mlflow-skinny": "3.17.2"}, "mlflow==3.16.0", "mlflow-skinny==3.16.0"),
        ({"mlflow": "3.17.2", "mlflow-skinny": "3.17.2"}, "mlflow==3.16.0", "mlflow==3.16.0"),
        ({}, "mlflow==3.16.0", "mlflow==3.16.0"),
        ({"xgboost-cpu": "3.1.0"}, "xgboost==2.1.4", "xgboost-cpu==2.1.4"),
        ({"numpy": "2.4.6"}, "numpy==1.26.4", "numpy==1.26.4"),
    ],
)
def test_what_stands_in_for_a_package_is_replaced_by_its_like(
    installed: dict[str, str], asked: str, expected: str
) -> None:
    image = {name: Installed(version=number) for name, number in installed.items()}
    assert str(as_installed(Requirement(asked), image.get)) == expected


def test_an_index_with_a_login_is_asked_and_its_password_is_told_to_nobody(
    prepare: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    build_wheel(tmp_path / "served", "iniconfig", "2.0.1")
    with simple_index(tmp_path / "served", login="somebody:swordfish") as (address, asked), caplog.at_level("DEBUG"):
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://somebody:swordfish@{address}")
        done = prepare("iniconfig==2.0.1")
        assert done["layer"]["packages"] == {"iniconfig": "2.0.1"}
        assert asked
        with pytest.raises(StartError) as missing:
            prepare("iniconfig==9.9")
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://somebody:octopus@{address}")
        with pytest.raises(StartError) as refused:
            prepare("iniconfig==2.0.1")
    assert "iniconfig==9.9" in missing.value.message
    assert refused.value.reason == "EnvironmentFailed"
    assert "401 Unauthorized" in refused.value.message
    told = f"{done} {missing.value.message} {refused.value.message} {caplog.text}"
    for secret in ("swordfish", "octopus", "somebody"):
        assert secret not in told


def test_the_clusters_index_is_asked_instead_of_the_models(
    prepare: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_wheel(tmp_path / "served", "iniconfig", "2.0.1")
    build_wheel(tmp_path / "models", "iniconfig", "2.0.1")
    with simple_index(tmp_path / "served") as (ours, asked), simple_index(tmp_path / "models") as (theirs, by_model):
        requirements = f"--index-url http://{theirs}\niniconfig==2.0.1\n"
        prepare(requirements)
        assert by_model
        by_model.clear()
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://{ours}")
        prepare(requirements)
        assert asked
        assert by_model == []


@pytest.mark.parametrize(
    ("requirements", "words"),
    [
        ("iniconfig==9.9", ("cannot install iniconfig==9.9: No solution found", "you require iniconfig==9.9")),
        ("iniconfig==2.0.1\nnumpy<2\nnew-one==1.0", ("new-one==1.0", "numpy>=2")),
        ("only-source==1.0", ("only-source==1.0", "no usable wheels")),
        (
            "ours @ git+https://user:swordfish@git.example/ours",
            ("ours would have to be built", "add_libraries_to_model"),
        ),
        ("./folder", ("./folder would have to be built",)),
    ],
)
def test_what_cannot_be_installed_is_named_with_what_to_do(
    prepare: Prepare, wheels: Path, requirements: str, words: tuple[str, ...]
) -> None:
    build_wheel(wheels, "new-one", "1.0", requires=["numpy>=2"])
    (wheels / "only-source-1.0.tar.gz").touch()
    with pytest.raises(StartError) as caught:
        prepare(requirements)
    assert caught.value.reason == "EnvironmentFailed"
    for word in (*words, "an image that has it"):
        assert word in caught.value.message
    assert "swordfish" not in caught.value.message


@pytest.mark.parametrize("status", [0, 503])
def test_an_index_that_does_not_answer_is_no_verdict_on_the_model(
    prepare: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    with simple_index(tmp_path, status=status or 200) as (address, _):
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://{address if status else f'127.0.0.1:{free_port()}'}")
        with pytest.raises(StartError) as caught:
            prepare("iniconfig==2.0.1")
    assert caught.value.reason == "FetchFailed"
    assert caught.value.message.startswith("the package index gave no answer for iniconfig==2.0.1: ")


def test_the_second_pod_of_a_node_installs_nothing(prepare: Prepare, wheels: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = prepare("iniconfig==2.0.1", "first", cache=cache)
    shutil.rmtree(wheels)
    wheels.mkdir()
    second = prepare("iniconfig==2.0.1", "second", cache=cache)
    assert second["layer"] == first["layer"]
    assert read_tree(second["packages"]) == read_tree(first["packages"])
    assert list((second["packages"] / "__pycache__").glob("iniconfig.*.pyc"))
    # Another requirement is another layer, and there is no wheel for it any more.
    with pytest.raises(StartError, match="iniconfig"):
        prepare("iniconfig<2.1", "third", cache=cache)


@pytest.mark.parametrize("damage", ["changed", "half", "emptied"])
def test_a_broken_entry_of_the_cache_is_made_anew(
    prepare: Prepare, wheels: Path, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache = tmp_path / "cache"
    prepare("iniconfig==2.0.1", "first", cache=cache)
    (module,) = cache.rglob("iniconfig.py")
    match damage:
        case "changed":
            module.write_text("ANSWER = 666\n")
        case "half":
            module.unlink()
        case "emptied":
            shutil.rmtree(module.parent)
    with caplog.at_level(logging.WARNING):
        done = prepare("iniconfig==2.0.1", "second", cache=cache)
    assert "ANSWER = 42" in (done["packages"] / "iniconfig.py").read_text()
    assert len(caplog.records) == 1
    shutil.rmtree(wheels)
    assert "ANSWER = 42" in (prepare("iniconfig==2.0.1", "third", cache=cache)["packages"] / "iniconfig.py").read_text()


def test_a_cache_that_cannot_be_written_stops_nothing(prepare: Prepare, wheels: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    assert prepare("iniconfig==2.0.1", cache=tmp_path / "cache")["layer"]["packages"] == {"iniconfig": "2.0.1"}


def test_pods_that_start_side_by_side_install_once(
    prepare: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_wheel(tmp_path / "served", "iniconfig", "2.0.1")
    together = threading.Barrier(3)

    def run(pod: str) -> Any:
        together.wait()
        return prepare("iniconfig==2.0.1", pod, cache=tmp_path / "cache")

    with simple_index(tmp_path / "served") as (address, asked):
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://{address}")
        with ThreadPoolExecutor(3) as pool:
            done = list(pool.map(run, ("a", "b", "c")))
    assert [one["layer"]["packages"] for one in done] == [{"iniconfig": "2.0.1"}] * 3
    # The file was asked for by one of them: for its metadata, and to be installed.
    assert asked.count("/simple/iniconfig/") <= 2, asked


def test_where_a_package_came_from_is_known(tmp_path: Path, wheels: Path) -> None:
    target = tmp_path / "target"
    command = [find_uv_bin(), "pip", "install", "--quiet", "--python", sys.executable, "--target", str(target)]
    url = (wheels / "iniconfig-2.0.1-py3-none-any.whl").as_uri()
    subprocess.run([*command, f"iniconfig @ {url}"], check=True, capture_output=True)
    assert look_up([str(target)])("iniconfig") == Installed(version="2.0.1", urls=(url,))
    info = target / "iniconfig-2.0.1.dist-info" / "direct_url.json"
    origin = {
        "url": "https://git.example/x",
        "vcs_info": {"vcs": "git", "commit_id": "abc", "requested_revision": "v1"},
    }
    info.write_text(json.dumps(origin))
    address = "git+https://git.example/x"
    assert look_up([str(target)])("iniconfig") == Installed(
        version="2.0.1", urls=(address, f"{address}@v1", f"{address}@abc")
    )


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a registry with one version: a model that wants another iniconfig than the image has."""
    folder = tmp_path_factory.mktemp("registry")
    with mlflow_server(folder) as url, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train.save_script(folder / "needs_package", "needs_package")
        artifacts = folder / "needs_package" / ARTIFACTS_DIR
        (artifacts / "requirements.txt").write_text(f"mlflow=={version('mlflow')}\niniconfig==2.0.1\n")
        client = MlflowClient(url)
        run = client.create_run(client.create_experiment("layers"))
        client.log_artifacts(run.info.run_id, str(artifacts), "model")
        client.create_registered_model("needs_package")
        client.create_model_version("needs_package", f"{run.info.artifact_uri}/model", run_id=run.info.run_id)
        yield url


@pytest.mark.parametrize("mode", ["Image", "FromModel"])
def test_a_model_is_served_with_the_packages_that_it_is_to_have(
    registry: str, start: Start, wheels: Path, tmp_path: Path, mode: str
) -> None:
    model_dir = tmp_path / "needs_package"
    model_dir.mkdir()
    variables = {
        "MODELVANE_MODEL_DIR": str(model_dir),
        "MODELVANE_MODEL_NAME": "needs_package",
        "MODELVANE_MODEL_VERSION": "1",
        "MODELVANE_ENVIRONMENT": mode,
        "MLFLOW_TRACKING_URI": registry,
        "UV_FIND_LINKS": str(wheels),
        "UV_OFFLINE": "1",
    }
    fetch = [sys.executable, "-m", "modelvane_serving", "fetch"]
    done = subprocess.run(
        fetch, env=environment(tmp_path, variables), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "termination-log").read_text())
    facts = json.loads((model_dir / "facts.json").read_text())["environment"]
    assert facts["mode"] == mode
    server = start(model_dir, MODELVANE_ENVIRONMENT=mode).wait_ready()
    here, child, answer = server.predict(inputs=[1.0])
    assert here == child
    if mode == "Image":
        assert told["environment"] == f"{SAID}iniconfig {INICONFIG}, wanted ==2.0.1"
        assert facts["differences"] == [{"package": "iniconfig", "wanted": "==2.0.1", "installed": INICONFIG}]
        assert (here.split()[0], answer) == (INICONFIG, "None")
    else:
        assert set(told) == {"digest"}
        assert facts["differences"] == []
        assert (here, answer) == (f"2.0.1 {model_dir / 'packages' / 'iniconfig.py'}", "42")


def test_what_another_image_has_installed_is_not_judged_from_here(registry: str, tmp_path: Path, wheels: Path) -> None:
    model_dir = tmp_path / "needs_package"
    model_dir.mkdir()
    variables = {
        "MODELVANE_MODEL_DIR": str(model_dir),
        "MODELVANE_MODEL_NAME": "needs_package",
        "MODELVANE_MODEL_VERSION": "1",
        "MODELVANE_RUNTIME": "Custom",
        "MLFLOW_TRACKING_URI": registry,
    }
    fetch = [sys.executable, "-m", "modelvane_serving", "fetch"]
    subprocess.run(fetch, env=environment(tmp_path, variables), capture_output=True, timeout=120, check=True)
    assert set(json.loads((tmp_path / "termination-log").read_text())) == {"digest"}
    assert "environment" not in json.loads((model_dir / "facts.json").read_text())


def test_a_setting_that_is_none_of_the_two_is_refused(tmp_path: Path) -> None:
    variables = {
        "MODELVANE_MODEL_NAME": "m",
        "MODELVANE_MODEL_VERSION": "1",
        "MODELVANE_ENVIRONMENT": "Conda",
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:1",
    }
    fetch = [sys.executable, "-m", "modelvane_serving", "fetch"]
    subprocess.run(fetch, env=environment(tmp_path, variables), capture_output=True, timeout=60, check=False)
    assert json.loads((tmp_path / "termination-log").read_text()) == {
        "reason": "InvalidSettings",
        "message": "MODELVANE_ENVIRONMENT must be Image or FromModel, got 'Conda'",
    }
