"""The OpenAPI document of one served model: its own columns in each format, every route, every error.

Pure, and without MLflow. Called once at load; what it returns is served at /openapi.json.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from modelvane_serving.formats.bodies import ARROW, JSON
from modelvane_serving.formats.openapi_types import Json, format_schemas, object_schema, output_schema
from modelvane_serving.signature import Signature

OPENAPI_VERSION: Final = "3.1.0"
DATATYPES: Final = (
    *("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
    *("FP32", "FP64", "BYTES"),
)
REFUSALS: Final[Mapping[int, str]] = {
    400: "the request cannot be answered: the error names the field, what is expected and what came",
    413: "the body is larger than this server takes",
    415: "the media type, its encoding or its character set is not one that is read here",
    429: "more requests wait than will be answered in time: come again after Retry-After seconds",
    500: "the model failed",
    503: "the server is about to end",
    504: "the answer was not there in time",
}


def describe(name: str, version: str, signature: Signature | None, *, from_type_hint: bool = False) -> dict[str, Any]:
    """Build the document. Without a signature, or with one of a form that is not known, it promises little."""
    known = signature or Signature(inputs=None, outputs=None, params=())
    model = f"/v2/models/{quote(name, safe='')}"
    versioned = f"{model}/versions/{quote(version, safe='')}"
    paths: Json = {"/invocations": {"post": _invocations(known, from_type_hint)}, **_plain_routes()}
    for suffix, path in (("", model), ("OfVersion", versioned)):
        paths[path] = {"get": _read(f"modelMetadata{suffix}", "Inputs and outputs", "ModelMetadata")}
        paths[f"{path}/ready"] = {"get": _ready(f"modelReady{suffix}", "Whether this model answers", "ModelReady")}
        paths[f"{path}/infer"] = {"post": _infer(f"infer{suffix}")}
    return {
        "openapi": OPENAPI_VERSION,
        "info": {
            "title": name,
            "version": version,
            "description": f"Version {version} of the model {name}, which {known}.",
        },
        "paths": paths,
        "components": {"schemas": _schemas(known), "responses": _refusals()},
    }


def _invocations(signature: Signature, from_type_hint: bool) -> Json:
    formats = format_schemas(signature.inputs)
    if from_type_hint:
        # The model validates its input itself, and is given it as it is.
        formats = {"inputs": {"type": "array", "items": _hinted(signature)}}
    bodies = [
        {
            "type": "object",
            "title": name,
            "properties": {name: schema, **({"params": {"$ref": "#/components/schemas/Params"}})},
            "required": [name],
        }
        for name, schema in formats.items()
    ]
    content: Json = {JSON: {"schema": {"oneOf": bodies}}}
    if "dataframe_split" in formats:
        names = [field.name for field in signature.inputs or () if field.name is not None]
        content["text/csv"] = {
            "schema": {"type": "string", "description": "a first line of names, then one line a row"},
            **({"example": ",".join(names) + "\n"} if names else {}),
        }
        content[ARROW] = {"schema": {"contentMediaType": ARROW, "description": "a table of these columns"}}
    predictions = {
        "type": "object",
        "properties": {"predictions": output_schema(signature.outputs)},
        "required": ["predictions"],
    }
    return {
        "operationId": "invocations",
        "summary": "Predict, in the formats of MLflow's scoring server",
        "requestBody": {"required": True, "content": content},
        "responses": {"200": _answer("the predictions", predictions), **_refusal_refs()},
    }


def _hinted(signature: Signature) -> Json:
    """Describe one element for a model with a type hint: MLflow writes it as the only column, without a name."""
    first = format_schemas(signature.inputs).get("inputs", {}) if signature.inputs else {}
    row = first.get("items", {})
    cells = row.get("prefixItems", []) if isinstance(row, dict) else []
    return dict(cells[0]) if len(cells) == 1 else {}


def _infer(operation: str) -> Json:
    return {
        "operationId": operation,
        "summary": "Predict, by the Open Inference Protocol",
        "requestBody": {"required": True, "content": {JSON: {"schema": {"$ref": "#/components/schemas/InferRequest"}}}},
        "responses": {
            "200": _answer("the outputs", {"$ref": "#/components/schemas/InferResponse"}),
            **_refusal_refs(),
        },
    }


def _plain_routes() -> Json:
    ping = _answers({"200": ("it serves", JSON, {}), "503": ("it is about to end", JSON, {})})
    example = _answers({"200": ("a body of /invocations", JSON, {})})
    example["404"] = {"$ref": "#/components/responses/404"}
    return {
        "/ping": {"get": _operation("ping", "Whether it serves", ping)},
        "/health": {"get": _operation("health", "Whether it serves", ping)},
        "/version": {"get": _text("version", "The version of MLflow")},
        "/metrics": {"get": _text("metrics", "Metrics, as Prometheus reads them")},
        "/model-info": {"get": _read("modelInfo", "What is served", "ModelInfo")},
        "/input-example": {"get": _operation("inputExample", "The example the model was logged with", example)},
        "/openapi.json": {"get": _operation("openapi", "This document", {"200": _answer("OpenAPI", {})})},
        "/v2": {"get": _read("serverMetadata", "The server", "ServerMetadata")},
        "/v2/health/live": {"get": _read("live", "Whether the process lives", "Live")},
        "/v2/health/ready": {"get": _ready("ready", "Whether it takes requests", "Ready")},
    }


def _operation(operation: str, summary: str, responses: Json) -> Json:
    return {"operationId": operation, "summary": summary, "responses": responses}


def _read(operation: str, summary: str, schema: str) -> Json:
    return _operation(operation, summary, {"200": _answer(summary, {"$ref": f"#/components/schemas/{schema}"})})


def _ready(operation: str, summary: str, schema: str) -> Json:
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return _operation(
        operation, summary, {"200": _answer("yes", reference), "503": _answer("no: it is about to end", reference)}
    )


def _text(operation: str, summary: str) -> Json:
    return _operation(operation, summary, _answers({"200": (summary, "text/plain", {"type": "string"})}))


def _answers(answers: Mapping[str, tuple[str, str, Json]]) -> Json:
    return {
        status: {"description": text, "content": {kind: {"schema": schema} if schema else {}}}
        for status, (text, kind, schema) in answers.items()
    }


def _answer(description: str, schema: Json) -> Json:
    return {"description": description, "content": {JSON: {"schema": schema}}}


def _refusal_refs() -> Json:
    return {str(status): {"$ref": f"#/components/responses/{status}"} for status in REFUSALS}


def _refusals() -> Json:
    refusals = {
        str(status): {
            "description": f"{HTTPStatus(status).phrase}: {text}",
            "content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
        for status, text in {**REFUSALS, 404: "there is nothing here"}.items()
    }
    refusals["429"]["headers"] = {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 0}}}
    return refusals


def _schemas(signature: Signature) -> Json:
    tensor: Json = {
        "name": {"type": "string", "minLength": 1},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "datatype": {"enum": list(DATATYPES)},
        "data": {"type": "array"},
    }
    metadata: Json = {"name": {"type": "string"}, "datatype": {"enum": list(DATATYPES)}, "shape": _array("integer")}
    parameters = {"type": "object"}
    return {
        "Params": {**object_schema(signature.params), "description": "what the model takes besides its input"},
        "Error": _object(
            error=_object(
                ("code", "message"),
                code={"type": "string"},
                message={"type": "string", "minLength": 1},
                field={"type": "string"},
                expected={},
                got={},
            )
            | {"additionalProperties": False}
        )
        | {"additionalProperties": False},
        "InferRequest": _object(
            ("inputs",),
            id={"type": "string"},
            parameters=parameters,
            inputs={
                "type": "array",
                "minItems": 1,
                "items": _object(tuple(tensor), **tensor, parameters=parameters),
            },
            outputs={"type": "array", "items": _object(("name",), name={"type": "string"}, parameters=parameters)},
        ),
        "InferResponse": _object(
            ("model_name", "model_version", "outputs"),
            model_name={"type": "string"},
            model_version={"type": "string"},
            id={"type": "string"},
            parameters=parameters,
            outputs={"type": "array", "items": _object(("name", "shape", "datatype"), **tensor, parameters=parameters)},
        ),
        "ModelMetadata": _object(
            name={"type": "string"},
            versions=_array("string"),
            platform={"type": "string"},
            inputs={"type": "array", "items": _object(**metadata)},
            outputs={"type": "array", "items": _object(**metadata)},
        ),
        "ServerMetadata": _object(name={"type": "string"}, version={"type": "string"}, extensions=_array("string")),
        "ModelReady": _object(name={"type": "string"}, ready={"type": "boolean"}),
        "Ready": _object(ready={"type": "boolean"}),
        "Live": _object(live={"type": "boolean"}),
        "ModelInfo": _object(
            ("model_name", "version", "digest", "flavor", "engine", "revision"),
            model_name={"type": "string"},
            version={"type": "string"},
            digest={"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
            flavor={"type": "string"},
            engine={"type": "string"},
            revision={"type": "string"},
        ),
    }


def _object(required: tuple[str, ...] | None = None, **properties: Json) -> Json:
    """Write an object; without a list all its properties are required."""
    names = list(properties) if required is None else list(required)
    return {"type": "object", "properties": properties, "required": names}


def _array(kind: str) -> Json:
    return {"type": "array", "items": {"type": kind}}
