"""From what MLflow says to where a pointer leads, with the doubts that a sound absence has to stand."""

import asyncio
import itertools
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import certifi
import pytest
import requests
from mlflow.exceptions import MlflowException, RestException
from modelvane.cluster.kube import Kind, Kube
from modelvane.engine.state import Absent, Found, Key, NotReady, Resolution, Unreachable
from modelvane.registry.access import read_access
from modelvane.registry.reader import Access, Reader, resolve
from modelvane.registry.trouble import UnreachableError, explain
from modelvane.spec import ModelPointer, ModelRegistrySpec

URI = "http://mlflow:5000"
PRODUCTION = ModelPointer(name="iris", stage="Production")
CHAMPION = ModelPointer(name="iris", alias="champion")
THIRD = ModelPointer(name="iris", version="3")


def rest(error_code: str) -> RestException:
    return RestException({"error_code": error_code, "message": ""})  # type: ignore[no-untyped-call]


@dataclass
class Version:
    version: str
    current_stage: str = "None"
    status: str = "READY"
    run_id: str | None = "run"
    name: str = "iris"


@dataclass
class Model:
    name: str = "iris"
    latest_versions: list[Version] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)


class Page(list[Model]):
    token: str | None = None


class Registry:
    """A registry in memory that counts how often it is asked, and can be told to lie or to fail."""

    def __init__(
        self,
        *models: Model,
        listed: tuple[Model, ...] | None = None,
        error: Exception | None = None,
        forbidden: str = " ",
    ) -> None:
        self.models = {model.name: model for model in models}
        self.listed = listed if listed is not None else models
        self.error = error
        self.forbidden = forbidden
        self.asked: list[str] = []

    def search_registered_models(
        self, filter_string: str | None = None, max_results: int = 0, *, page_token: str | None = None
    ) -> Page:
        self.asked.append(f"search {filter_string}")
        if self.error:
            raise self.error
        return Page(self.listed)

    def get_registered_model(self, name: str) -> Model:
        self.asked.append(f"model {name}")
        if self.forbidden in name:
            raise rest("PERMISSION_DENIED")
        if name not in self.models:
            raise rest("RESOURCE_DOES_NOT_EXIST")
        return self.models[name]

    def get_model_version(self, name: str, version: str) -> Version:
        self.asked.append(f"version {name}/{version}")
        if self.forbidden in name:
            raise rest("PERMISSION_DENIED")
        found = [v for v in self.models[name].latest_versions if v.version == version] if name in self.models else []
        if not found:
            raise rest("RESOURCE_DOES_NOT_EXIST")
        return found[0]

    def set_model_version_tag(self, name: str, version: str, *tag: Any) -> None:
        self.get_model_version(name, version)
        # MLflow's REST store takes one object, and its client two words.
        words = [type(tag[0]).__name__, tag[0].key, tag[0].value] if len(tag) == 1 else [*tag]
        self.asked[-1] = f"tag {name}/{version} {' '.join(words)}"


def read(registry: Registry, pointer: ModelPointer, known: Resolution | None = None, uri: str = URI) -> Resolution:
    reader = Reader(Access(uri, {}), store=registry)
    return reader.read([pointer], {pointer: known} if known else {})[pointer]


@pytest.mark.parametrize(
    ("pointer", "model", "resolution"),
    [
        (PRODUCTION, Model(latest_versions=[Version("3", "Production")]), Found("3", "run")),
        (
            PRODUCTION,
            Model(latest_versions=[Version("9", "Production"), Version("10", "Production")]),
            Found("10", "run"),
        ),
        (
            PRODUCTION,
            Model(latest_versions=[Version("3", "Staging")]),
            Absent("model iris has no version in stage Production"),
        ),
        (
            PRODUCTION,
            Model(latest_versions=[Version("3", "Production", status="PENDING_REGISTRATION")]),
            NotReady("3", "version 3 of model iris is PENDING_REGISTRATION, not READY"),
        ),
        (CHAMPION, Model(latest_versions=[Version("3")], aliases={"champion": "3"}), Found("3", "run")),
        (CHAMPION, Model(latest_versions=[Version("3")], aliases={"champion": "2"}), Found("2")),
        (CHAMPION, Model(aliases={"challenger": "2"}), Absent("model iris has no alias champion")),
    ],
)
def test_a_pointer_leads_where_mlflow_says(pointer: ModelPointer, model: Model, resolution: Resolution) -> None:
    assert resolve(pointer, model) == resolution


def test_one_search_answers_every_pointer() -> None:
    iris = Model(latest_versions=[Version("3", "Production")], aliases={"champion": "3"})
    wine = Model("wine", latest_versions=[Version("1", "Production", name="wine")])
    registry = Registry(iris, wine)
    other = ModelPointer(name="wine", stage="Production")
    read_all = Reader(Access(URI, {}), store=registry).read([PRODUCTION, CHAMPION, other], {})
    assert read_all == {PRODUCTION: Found("3", "run"), CHAMPION: Found("3", "run"), other: Found("1", "run")}
    assert registry.asked == ["search name IN ('iris','wine')"]


def test_a_name_that_cannot_be_quoted_is_looked_for_in_the_whole_list() -> None:
    registry = Registry(Model("it's", latest_versions=[Version("1", "Production", name="it's")]))
    assert read(registry, ModelPointer(name="it's", stage="Production")) == Found("1", "run")
    assert registry.asked == ["search None"]


def test_a_listing_that_omits_a_model_is_not_believed_alone() -> None:
    registry = Registry(Model(latest_versions=[Version("3", "Production")]), listed=())
    assert read(registry, PRODUCTION, known=Found("3", "run")) == Found("3", "run")
    assert registry.asked[1:] == ["model iris"]


def test_an_absence_in_the_registrys_own_words_is_believed() -> None:
    assert read(Registry(), PRODUCTION, known=Found("3")) == Absent("registered model iris does not exist")


def test_a_confirmed_absence_is_not_asked_about_every_tick() -> None:
    registry = Registry()
    assert isinstance(read(registry, PRODUCTION, known=Absent("gone")), Absent)
    assert len(registry.asked) == 1


def test_an_absence_is_told_in_the_same_words_in_each_reading() -> None:
    registry = Registry()
    first = read(registry, PRODUCTION, known=Found("3"))
    assert read(registry, PRODUCTION, known=first) == first


def test_a_hosted_registry_may_list_no_aliases() -> None:
    registry = Registry(Model(latest_versions=[Version("3")], aliases={"champion": "3"}), listed=(Model(),))
    assert read(registry, CHAMPION, known=Absent("before"), uri="databricks-uc") == Found("3", "run")


def test_a_proxys_empty_answer_is_no_absence() -> None:
    registry = Registry(listed=())
    registry.models["iris"] = Model(name="")
    with pytest.raises(UnreachableError) as raised:
        read(registry, PRODUCTION, known=Found("3"))
    assert raised.value.why.reason == "UnexpectedAnswer"


def test_models_that_may_not_be_read_are_tried_one_in_a_reading_and_hide_no_other() -> None:
    hidden = [ModelPointer(name=f"hidden-{number}", stage="Production") for number in range(20)]
    registry = Registry(Model(latest_versions=[Version("3", "Production")]), forbidden="hidden")
    reader = Reader(Access(URI, {}), store=registry)
    known = reader.read([PRODUCTION, *hidden], {})
    assert known[PRODUCTION] == Found("3", "run")
    assert all(isinstance(known[pointer], Unreachable) for pointer in hidden)
    registry.asked.clear()
    assert reader.read([PRODUCTION, *hidden], known) == known
    assert len(registry.asked) == 2


def test_an_alias_on_an_old_version_is_looked_at_once() -> None:
    registry = Registry(Model(latest_versions=[Version("2"), Version("3")], aliases={"champion": "2"}))
    registry.listed = (Model(latest_versions=[Version("3")], aliases={"champion": "2"}),)
    found = read(registry, CHAMPION)
    assert found == Found("2", "run")
    assert read(registry, CHAMPION, known=found) == found
    assert [question for question in registry.asked if question.startswith("version")] == ["version iris/2"]


def test_a_fixed_version_is_looked_for_once_in_the_life_of_a_reader() -> None:
    registry = Registry(Model(latest_versions=[Version("3")]))
    known: dict[ModelPointer, Resolution] = {}
    for _ in range(2):
        reader = Reader(Access(URI, {}), store=registry)
        for _ in range(3):
            known = reader.read([THIRD], known)
            assert known == {THIRD: Found("3", "run")}
    assert registry.asked.count("version iris/3") == 2


def test_many_fixed_versions_are_looked_for_one_in_a_reading() -> None:
    registry = Registry(Model(latest_versions=[Version(str(number)) for number in range(1, 6)]))
    pointers = [ModelPointer(name="iris", version=str(number)) for number in range(1, 6)]
    reader = Reader(Access(URI, {}), store=registry)
    known: dict[ModelPointer, Resolution] = dict.fromkeys(pointers, Found("1"))
    for readings in range(1, 8):
        known = reader.read(pointers, known)
        assert sum(question.startswith("version") for question in registry.asked) == min(readings, 5)


def test_no_fixed_version_is_forgotten_although_a_reader_lives_too_short_to_see_them_all() -> None:
    registry = Registry(Model(latest_versions=[Version(str(number)) for number in range(20)]))
    pointers = [ModelPointer(name="iris", version=str(number)) for number in range(20)]
    known: dict[ModelPointer, Resolution] = dict.fromkeys(pointers, Found("1"))
    for _ in range(300):
        reader = Reader(Access(URI, {}), store=registry)
        for _ in range(2):
            known = reader.read(pointers, known)
    assert len({question for question in registry.asked if question.startswith("version")}) == 20


def test_a_reading_ends_in_time_and_what_it_left_out_comes_in_the_next_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    now = itertools.count()
    monkeypatch.setattr("modelvane.registry.reader.time.monotonic", lambda: float(next(now)))
    names = [f"model-{number}" for number in range(50)]
    models = [Model(name, [Version("1", name=name)], {"champion": "1"}) for name in names]
    registry = Registry(*models, listed=tuple(Model(name, [], {"champion": "1"}) for name in names))
    reader = Reader(Access(URI, {}), store=registry)
    pointers = [ModelPointer(name=name, alias="champion") for name in names]
    known: dict[ModelPointer, Resolution] = {}
    sizes = []
    while len(known) < len(names):
        known |= reader.read(pointers, known)
        sizes.append(len(known))
    assert sizes == [20, 40, 50]
    assert set(known.values()) == {Found("1", "run")}


def test_a_hosted_registry_changes_nothing_but_its_own_keys_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHANGED", "before")
    monkeypatch.delenv("ADDED", raising=False)
    monkeypatch.delenv("OF_ANOTHER_THREAD", raising=False)

    class Hosted(Registry):
        def search_registered_models(self, *_: Any, **__: Any) -> Page:
            assert (os.environ["CHANGED"], os.environ["ADDED"]) == ("within", "within")
            monkeypatch.setenv("OF_ANOTHER_THREAD", "kept")
            return Page()

    Reader(Access("databricks", {"CHANGED": "within", "ADDED": "within"}), store=Hosted()).read([], {})
    assert os.environ["CHANGED"] == "before"
    assert "ADDED" not in os.environ
    assert os.environ["OF_ANOTHER_THREAD"] == "kept"


def test_credentials_are_not_shown() -> None:
    assert "secret" not in repr(Access(URI, {"MLFLOW_TRACKING_PASSWORD": "secret"}))


def test_a_bundle_is_added_to_the_usual_certificates_and_kept_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    spec = ModelRegistrySpec.model_validate({"uri": URI, "caBundleRef": {"name": "ca"}})
    write = Path.write_bytes

    class Maps(Kube):
        def __init__(self) -> None:
            """Need no cluster."""

        async def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
            return {"data": {"ca.crt": "OUR OWN"}}

    def write_half(path: Path, data: bytes) -> None:
        write(path, data[: len(data) // 2])
        raise OSError("no space left")

    def path() -> str | None:
        return asyncio.run(read_access(Maps(), Key("ModelRegistry", "ns", "default"), spec)).ca_path

    with monkeypatch.context() as full_disk:
        full_disk.setattr(Path, "write_bytes", write_half)
        with pytest.raises(OSError, match="no space"):
            path()
    whole = path()
    assert whole is not None
    assert Path(whole).read_text() == Path(certifi.where()).read_text() + "\nOUR OWN"


def test_a_fixed_version_that_was_deleted_is_missed_and_one_that_cannot_be_read_is_not() -> None:
    registry = Registry(Model(latest_versions=[Version("3")]))
    known = Reader(Access(URI, {}), store=registry).read([THIRD], {})
    registry.forbidden = "iris"
    assert Reader(Access(URI, {}), store=registry).read([THIRD], known) == known
    registry.forbidden = " "
    registry.models.clear()
    gone = Reader(Access(URI, {}), store=registry).read([THIRD], known)
    assert gone == {THIRD: Absent("models:/iris/3 does not exist")}


def test_a_fixed_version_that_does_not_exist_is_absent() -> None:
    assert read(Registry(Model()), THIRD) == Absent("models:/iris/3 does not exist")


def chained(*errors: BaseException) -> BaseException:
    """Wrap the last error in all the ones before it, as MLflow, requests and urllib3 do."""
    for outer, inner in itertools.pairwise(errors):
        outer.__context__ = inner
    return errors[0]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (chained(MlflowException("x"), requests.ConnectionError(), ConnectionRefusedError()), "ConnectionRefused"),
        (chained(MlflowException("x"), requests.ConnectionError(), socket.gaierror()), "NameNotResolved"),
        (chained(MlflowException("x"), requests.exceptions.SSLError("bad")), "TLSFailed"),
        (chained(MlflowException("x"), requests.exceptions.ReadTimeout()), "Timeout"),
        (chained(MlflowException("x"), requests.exceptions.RetryError("too many 503 error responses")), "ServerError"),
        (chained(MlflowException("x"), requests.exceptions.RetryError("too many 429 error responses")), "RateLimited"),
        (MlflowException("API request to endpoint /x failed with error code 401 != 200"), "Unauthorized"),
        (MlflowException("API request to endpoint /x failed with error code 502 != 200"), "ServerError"),
        (MlflowException("API request to endpoint /x failed with error code 404 != 200"), "UnexpectedAnswer"),
        (rest("PERMISSION_DENIED"), "Unauthorized"),
        (rest("INTERNAL_ERROR"), "ServerError"),
        (chained(MlflowException("x"), requests.ConnectionError("reset"), ConnectionResetError()), "ConnectionFailed"),
        (MlflowException("the response body was not in a valid JSON format"), "UnexpectedAnswer"),
        (ValueError("no JSON"), "UnexpectedAnswer"),
    ],
)
def test_trouble_is_told_in_one_sentence_that_names_the_registry(error: BaseException, reason: str) -> None:
    why = explain(error, URI).why
    assert why.reason == reason
    assert URI in why.message


@pytest.mark.parametrize(("uri", "tag"), [(URI, "ModelVersionTag key value"), ("databricks", "key value")])
def test_a_tag_is_set_and_a_version_that_is_gone_is_told(uri: str, tag: str) -> None:
    registry = Registry(Model(latest_versions=[Version("3")]))
    reader = Reader(Access(uri, {}), store=registry)
    assert reader.set_tag("iris", "3", "key", "value")
    assert registry.asked == [f"tag iris/3 {tag}"]
    assert not reader.set_tag("iris", "4", "key", "value")


def test_trouble_of_the_same_kind_has_the_same_words() -> None:
    first: Any = chained(MlflowException("object at 0x1"), requests.ConnectionError("0x1"), ConnectionRefusedError())
    second: Any = chained(MlflowException("object at 0x2"), requests.ConnectionError("0x2"), ConnectionRefusedError())
    assert explain(first, URI).why == explain(second, URI).why
