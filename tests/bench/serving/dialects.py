"""How one table is asked of each kind of server, and how its answer is read. Pure."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa

ARROW = "application/vnd.apache.arrow.stream"
INFERENCE_HEADER = "Inference-Header-Content-Length"
_DTYPES = {"FP64": "<f8", "FP32": "<f4", "INT64": "<i8", "INT32": "<i4", "INT16": "<i2", "INT8": "<i1", "BOOL": "?"}


@dataclass(frozen=True)
class Request:
    """A POST."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    def wire(self, host: str) -> bytes:
        """Return the bytes that go over a connection."""
        headers = {"Host": host, **self.headers, "Content-Length": str(len(self.body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST {self.path} HTTP/1.1\r\n{head}\r\n".encode() + self.body


class Dialect(Protocol):
    """A way to ask."""

    def encode(self, frame: pd.DataFrame) -> Request:
        """Write the request for a table."""

    def read(self, headers: Mapping[str, str], body: bytes) -> list[Any]:
        """Read the predictions, one a row; the names of headers are in lower case."""


def _json(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Split:
    """MLflow's `dataframe_split`."""

    path: str = "/invocations"

    def encode(self, frame: pd.DataFrame) -> Request:
        split = {"columns": list(frame.columns), "data": frame.to_numpy().tolist()}
        return Request(self.path, {"Content-Type": "application/json"}, _json({"dataframe_split": split}))

    def read(self, headers: Mapping[str, str], body: bytes) -> list[Any]:
        found: list[Any] = json.loads(body)["predictions"]
        return found


@dataclass(frozen=True)
class Columns:
    """The Open Inference Protocol in JSON, one input a column, as MLServer's codec for tables needs it."""

    model: str

    def encode(self, frame: pd.DataFrame) -> Request:
        inputs = [
            {
                "name": name,
                "shape": [len(frame), 1],
                "datatype": "BYTES" if frame[name].dtype.kind != "f" else "FP64",
                "data": frame[name].tolist(),
            }
            for name in frame.columns
        ]
        # Without an id MLServer makes one up, and no two answers are equal.
        content = {"id": "1", "parameters": {"content_type": "pd"}, "inputs": inputs}
        return Request(f"/v2/models/{self.model}/infer", {"Content-Type": "application/json"}, _json(content))

    def read(self, headers: Mapping[str, str], body: bytes) -> list[Any]:
        found: list[Any] = json.loads(body)["outputs"][0]["data"]
        return found


@dataclass(frozen=True)
class Binary:
    """The binary tensor extension: a header in JSON, then the numbers as they are in memory."""

    model: str

    def encode(self, frame: pd.DataFrame) -> Request:
        if all(kind.kind == "f" for kind in frame.dtypes):
            parts = [("input-0", "FP64", list(frame.shape), frame.to_numpy(dtype="<f8").tobytes())]
        else:
            parts = [
                (name, "BYTES", [len(frame), 1], b"".join(struct.pack("<I", len(text)) + text for text in encoded))
                for name in frame.columns
                for encoded in ([value.encode() for value in frame[name]],)
            ]
        inputs = [
            {"name": name, "datatype": kind, "shape": shape, "parameters": {"binary_data_size": len(data)}}
            for name, kind, shape, data in parts
        ]
        head = _json({"inputs": inputs, "parameters": {"binary_data_output": True}})
        headers = {"Content-Type": "application/octet-stream", INFERENCE_HEADER: str(len(head))}
        return Request(f"/v2/models/{self.model}/infer", headers, head + b"".join(part[3] for part in parts))

    def read(self, headers: Mapping[str, str], body: bytes) -> list[Any]:
        size = int(headers[INFERENCE_HEADER.lower()])
        output = json.loads(body[:size])["outputs"][0]
        data = body[size : size + output["parameters"]["binary_data_size"]]
        if output["datatype"] != "BYTES":
            found: list[Any] = np.frombuffer(data, _DTYPES[output["datatype"]]).tolist()
            return found
        texts = []
        while data:
            (length,) = struct.unpack_from("<I", data)
            texts.append(data[4 : 4 + length].decode())
            data = data[4 + length :]
        return texts


@dataclass(frozen=True)
class Arrow:
    """An Arrow IPC stream, in and out."""

    def encode(self, frame: pd.DataFrame) -> Request:
        table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return Request("/invocations", {"Content-Type": ARROW, "Accept": ARROW}, sink.getvalue())

    def read(self, headers: Mapping[str, str], body: bytes) -> list[Any]:
        if not headers.get("content-type", "").startswith(ARROW):
            raise ValueError(f"the answer is {headers.get('content-type')}, expected {ARROW}")
        found: list[Any] = pa.ipc.open_stream(body).read_all().column(0).to_pylist()
        return found


@dataclass(frozen=True)
class Echo:
    """What floors are asked: the body of the real request, which comes back as it is."""

    def encode(self, frame: pd.DataFrame) -> Request:
        return Split("/").encode(frame)

    def read(self, headers: Mapping[str, str], body: bytes) -> list[Any]:
        found: list[Any] = json.loads(body)["dataframe_split"]["data"]
        return found


def same(got: list[Any], expected: list[Any], *, tolerance: float = 1e-5) -> bool:
    """Compare answers: words and whole numbers exactly, fractions within a tolerance."""
    if len(got) != len(expected):
        return False
    for one, other in zip(got, expected, strict=True):
        if isinstance(one, list | tuple) and isinstance(other, list | tuple):
            if not same(list(one), list(other), tolerance=tolerance):
                return False
        elif isinstance(one, int | float) and isinstance(other, int | float):
            if not abs(one - other) <= tolerance * max(1.0, abs(other)):
                return False
        elif one != other:
            return False
    return True
