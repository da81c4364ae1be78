"""The OpenAPI document tells the truth: what is well-formed by it is answered, and nothing is answered beside it."""

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from modelvane_serving.formats.openapi import describe
from modelvane_serving.mlmodel import read_mlmodel
from modelvane_serving.signature import Field, Signature, read_signature

from tests.serving.differential.tables import make_table
from tests.serving.processes import Server

with warnings.catch_warnings():
    # What the libraries warn of when they are imported is theirs.
    warnings.simplefilter("ignore")
    from tests.serving.differential.corpus import CORPUS

PROGRAM = Path(sys.executable).with_name("schemathesis")
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
# Examples an operation; always the same ones.
EXAMPLES = 40
# What a signature without names, or of arrays and objects, has no form for.
LACKING = {
    "tensor": {"dataframe_split", "dataframe_records"},
    "onnx_tensor": {"dataframe_split", "dataframe_records"},
    "tensors": {"dataframe_split", "dataframe_records"},
    "places": {"dataframe_records"},
    "nested": {"instances", "inputs"},
}
HINTED = {name for name, subject in CORPUS.items() if subject.type_hint}


@pytest.fixture(scope="module")
def save(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("described")

    def save_model(name: str) -> Path:
        if not (root / name).exists():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                CORPUS[name].save(root / name)
        return root / name

    return save_model


def signature_of(model_dir: Path) -> Signature | None:
    content = read_mlmodel(model_dir / "artifacts").signature
    return None if content is None else read_signature(content)


@pytest.mark.parametrize("name", sorted(CORPUS.keys() - HINTED))
def test_what_the_model_takes_is_well_formed(name: str, save: Callable[[str], Path]) -> None:
    document = describe(name, "3", signature_of(save(name)))
    body = document["paths"]["/invocations"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    validator = Draft202012Validator({**body, "components": document["components"]})
    validator.check_schema(validator.schema)
    # One row: that the columns are of one length is not something a schema can say.
    table = make_table(CORPUS[name].takes, 1, Random(name))  # noqa: S311
    formats = {"dataframe_split", "dataframe_records", "instances", "inputs"} - LACKING.get(name, set())
    for form in formats:
        errors = [error.message for error in validator.iter_errors({form: table.content(form)})]
        assert not errors, form
    misfits: tuple[Any, ...] = ({}, {"data": []}, [], {"dataframe_split": {"columns": ["no"], "data": "no"}})
    for wrong in misfits:
        assert not validator.is_valid(wrong)


def test_a_column_is_described_by_its_type() -> None:
    fields = (Field(name="a", type={"type": "long"}), Field(name="b", type={"type": "string"}, required=False))
    document = describe("some model", "7", Signature(inputs=fields, outputs=None, params=fields[1:]))
    record = _body(document, "dataframe_records")["items"]
    assert record["properties"] == {
        "a": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
        "b": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    }
    assert record["required"] == ["a"]
    assert document["info"]["description"] == (
        "Version 7 of the model some model, which takes (a: long, b: string?) with params (b: string?), gives anything."
    )
    assert "/v2/models/some%20model/versions/7/infer" in document["paths"]


def test_an_array_is_described_by_its_shape() -> None:
    spec = {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}
    signature = Signature(inputs=(Field(name=None, type=spec),), outputs=(Field(name=None, type=spec),), params=())
    document = describe("m", "1", signature)
    row = _body(document, "inputs")["items"]
    assert (row["minItems"], row["maxItems"], row["items"]["type"]) == (2, 2, "number")
    answer = document["paths"]["/invocations"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    # NaN is written as null.
    assert answer["properties"]["predictions"]["items"]["items"] == {"type": ["number", "null"]}


def test_a_model_without_a_signature_is_described_too() -> None:
    document = describe("m", "1", None)
    assert _body(document, "inputs") == {}
    assert document["components"]["schemas"]["Params"]["properties"] == {}


def _body(document: dict[str, Any], form: str) -> Any:
    body = document["paths"]["/invocations"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return next(one for one in body["oneOf"] if one["title"] == form)["properties"][form]


@pytest.mark.parametrize("model", ["iris", "xgboost", "tensor"])
def test_schemathesis_finds_no_fault(model: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    search_for_faults(request.getfixturevalue(f"{model}_server"), tmp_path)


@pytest.mark.parametrize("model", ["mixed", "params"])
def test_schemathesis_finds_no_fault_in_other_types(
    model: str, save: Callable[[str], Path], start: Callable[..., Server], tmp_path: Path
) -> None:
    search_for_faults(start(save(model)).wait_ready(), tmp_path)


def search_for_faults(server: Server, scratch: Path) -> None:
    """Let schemathesis make requests from the document: good ones and bad ones, and judge every answer by it."""
    path = scratch / "openapi.json"
    path.write_text(json.dumps(document_of(server)))
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.serving.schemathesis_hooks", "NO_COLOR": "1"}
    ended = subprocess.run(
        [
            *(str(PROGRAM), "run", str(path), "--url", server.url, "--checks", ",".join(CHECKS)),
            *("--mode", "all", "--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES)),
            *("--generation-deterministic", "--request-timeout", "30"),
            *("--suppress-health-check", "all", "--workers", "1", "--warnings", "off"),
        ],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-2000:]
    assert "Traceback" not in server.log


def document_of(server: Server) -> Any:
    response = server.get("/openapi.json")
    assert response.status_code == 200, response.text
    return response.json()
