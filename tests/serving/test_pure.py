"""The parts that need no process: settings, the manifest, texts."""

import json
from pathlib import Path

import pytest
from modelvane_serving.errors import from_mlflow
from modelvane_serving.failure import MESSAGE_LIMIT, StartError, redact
from modelvane_serving.manifest import Manifest, read_tree, verify_manifest, write_manifest
from modelvane_serving.mlmodel import read_mlmodel
from modelvane_serving.settings import read_fetch_settings, read_serve_settings

NAMED = {"MODELVANE_MODEL_NAME": "iris", "MODELVANE_MODEL_VERSION": "3"}


def test_serve_settings_have_defaults() -> None:
    settings = read_serve_settings(NAMED)
    assert (settings.port, settings.workers, settings.drain_seconds) == (8080, 1, 5.0)
    assert (settings.verify_input_example, settings.max_body_bytes) == (True, 64 * 1024 * 1024)
    assert (settings.verify_signature, settings.verify_requests) == (True, ())
    assert (settings.model_dir, settings.model_stage, settings.host) == (Path("/model"), None, None)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("MODELVANE_MODEL_NAME", "", "is not set"),
        ("MODELVANE_WORKERS", "0", "between 1 and 64"),
        ("MODELVANE_WORKERS", "two", "whole number"),
        ("MODELVANE_PORT", "70000", "between 0 and 65535"),
        ("MODELVANE_DRAIN_SECONDS", "-1", "between 0 and 3600"),
        ("MODELVANE_DRAIN_SECONDS", "soon", "number of seconds"),
        ("MODELVANE_VERIFY_INPUT_EXAMPLE", "yes", "true or false"),
        ("MODELVANE_VERIFY_SIGNATURE", "ignore", "Compatible or Ignore"),
        ("MODELVANE_VERIFY_REQUESTS", "[", "is not JSON"),
        ("MODELVANE_REVISION", "v3\r\nX-Evil: 1", "letters, digits"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(name: str, value: str, words: str) -> None:
    with pytest.raises(StartError, match=words) as caught:
        read_serve_settings({**NAMED, name: value})
    assert caught.value.reason == "InvalidSettings"
    assert name in caught.value.message


def test_the_registry_may_be_apart_from_tracking() -> None:
    both = {"MLFLOW_TRACKING_URI": "http://tracking", "MLFLOW_REGISTRY_URI": "http://registry"}
    assert read_fetch_settings({**NAMED, **both}).registry_uri == "http://registry"


def test_the_digest_is_that_of_sha256sum() -> None:
    manifest = Manifest({"b": "22", "a": "11"})
    # printf '11  a\n22  b\n' | sha256sum
    assert manifest.digest == "sha256:416ccbb108242872963558d2b2800ec8cc6d6c2b62ec0ce35f6a0ae486adbfaa"


def test_a_manifest_survives_being_written(tmp_path: Path) -> None:
    (tmp_path / "artifacts" / "deep").mkdir(parents=True)
    (tmp_path / "artifacts" / "deep" / "file").write_bytes(b"content")
    manifest = read_tree(tmp_path / "artifacts")
    write_manifest(manifest, tmp_path)
    assert verify_manifest(tmp_path) == manifest.digest
    assert list(json.loads((tmp_path / "manifest.json").read_text())["files"]) == ["deep/file"]


@pytest.mark.parametrize("target", ["/etc/passwd", "MLmodel", "/etc"])
def test_a_symbolic_link_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "MLmodel").touch()
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(StartError, match="'link' is a symbolic link") as caught:
        read_tree(tmp_path)
    assert caught.value.reason == "InvalidModel"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("flavors: {sklearn: {}}", "no python_function flavor, only: sklearn"),
        ("flavors: [", "cannot be read"),
        ("just text", "cannot be read"),
        ("signature: {}", "cannot be read"),
    ],
)
def test_an_mlmodel_that_cannot_be_served_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "MLmodel").write_text(text)
    with pytest.raises(StartError, match=words) as caught:
        read_mlmodel(tmp_path)
    assert caught.value.reason == "InvalidModel"


def test_a_long_message_is_cut_to_one_line() -> None:
    message = StartError("FetchFailed", "line\n  " * 1000).message
    assert len(message) == MESSAGE_LIMIT
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("GET http://me:secret@host/path failed", "GET http://host/path failed"),
        ("s3: https://b.s3/key?X-Amz-Signature=abc&x=1 gone", "s3: https://b.s3/key gone"),
        ("nothing to hide?", "nothing to hide?"),
    ],
)
def test_credentials_are_cut_out_of_urls(text: str, redacted: str) -> None:
    assert redact(text) == redacted


@pytest.mark.parametrize(
    ("message", "code", "field"),
    [
        ("Model is missing inputs ['a', 'b']. Note that there were extra inputs: ['c'].", "MissingInput", "a"),
        ("Incompatible input types for column x y. Can not safely convert int64 to int32.", "WrongType", "x y"),
        ("Failed to convert column t from type object to DataType.datetime.", "WrongType", "t"),
        ("Missing required properties: {'p'}", "MissingInput", "p"),
        ("Shape of input (1, 2) does not match expected shape (-1, 4).", "WrongShape", None),
        ("dtype of input float32 does not match expected dtype float64", "WrongType", None),
        ("something new with the caller's secret in it", "InvalidInput", None),
    ],
)
def test_mlflows_refusals_are_translated(message: str, code: str, field: str | None) -> None:
    error = from_mlflow(message, "the signature")
    assert (error.status, error.code, error.field) == (400, code, field)
    assert "secret" not in str(error.body())
