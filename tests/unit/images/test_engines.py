from collections.abc import Sequence
from pathlib import Path

import pytest

from images import BuildError, engines

REQUEST = engines.Request(
    ref="docker.io/modelvane/operator:dev-1",
    context=Path("/context"),
    base_image="docker.io/library/python:3.11",
    labels={"version": "1"},
    secrets={"host": Path("/host"), "ca": Path("/ca.crt")},
)


@pytest.mark.parametrize(
    ("working", "chosen"),
    [
        ({"docker", "podman", "buildah"}, "docker"),
        ({"podman", "buildah"}, "podman"),
        ({"buildah"}, "buildah"),
    ],
)
def test_the_first_engine_that_answers_is_chosen(working: set[str], chosen: str) -> None:
    def answers(command: Sequence[str]) -> bool:
        return command[0] in working

    assert engines.choose(answers).name == chosen


def test_without_an_engine_the_message_names_what_to_install() -> None:
    with pytest.raises(BuildError, match=r"no container engine answers .*apt-get install buildah"):
        engines.choose(lambda command: False)


def test_a_client_that_is_there_but_fails_does_not_answer() -> None:
    assert engines.answers(["true"])
    assert not engines.answers(["false"])
    assert not engines.answers(["no-such-engine"])


@pytest.mark.parametrize("engine", engines.ENGINES, ids=lambda engine: engine.name)
def test_each_engine_is_told_the_same_about_a_build(engine: engines.Engine) -> None:
    command = engine.build(REQUEST)
    assert command[0] == engine.name
    for flag in (
        "--network=host",
        "--build-arg=BASE_IMAGE=docker.io/library/python:3.11",
        "--label=version=1",
        "--secret=id=ca,src=/ca.crt",
        "--secret=id=host,src=/host",
        "--tag=docker.io/modelvane/operator:dev-1",
        "--file=/context/Containerfile",
    ):
        assert flag in command
    assert command[-1] == "/context"


@pytest.mark.parametrize("engine", engines.ENGINES, ids=lambda engine: engine.name)
def test_each_engine_saves_the_image_under_its_name(engine: engines.Engine) -> None:
    command = " ".join(engine.save(REQUEST.ref, Path("/cache/a.tar")))
    assert command.startswith(engine.name)
    assert "/cache/a.tar" in command
    assert REQUEST.ref in command
