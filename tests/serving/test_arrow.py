"""Arrow IPC streams on /invocations: the same answers as JSON, without the text."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import requests

from tests.serving import train
from tests.serving.conftest import Fleet
from tests.serving.processes import Server

ARROW = "application/vnd.apache.arrow.stream"


def stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def post(server: Server, body: bytes, accept: str | None = None) -> requests.Response:
    headers = {"Content-Type": ARROW, **({"Accept": accept} if accept is not None else {})}
    return server.post("/invocations", body, **headers)


def read(response: requests.Response) -> pa.Table:
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == ARROW
    return pa.ipc.open_stream(response.content).read_all()


def iris_table(rows: int = 50) -> pa.Table:
    features, _ = train.iris()
    return pa.Table.from_pandas(features.head(rows), preserve_index=False)


def test_a_table_in_and_labels_out(fleet: Fleet, iris_server: Server) -> None:
    answer = read(post(iris_server, stream(iris_table())))
    expected = fleet.iris.predict(iris_table().to_pandas())
    assert answer.column("predictions").to_pylist() == expected.tolist()


def test_columns_are_found_by_name_and_others_are_left_out(fleet: Fleet, iris_server: Server) -> None:
    table = iris_table().append_column("more", pa.array(["text"] * 50))
    answer = read(post(iris_server, stream(table.select(table.column_names[::-1]))))
    assert answer.column("predictions").to_pylist() == fleet.iris.predict(iris_table().to_pandas()).tolist()


def test_several_outputs_of_a_row_are_a_list(fleet: Fleet, tensor_server: Server) -> None:
    answer = read(post(tensor_server, stream(iris_table(5))))
    expected = fleet.tensor.predict_proba(iris_table(5).to_pandas().to_numpy())
    np.testing.assert_allclose(np.array(answer.column("predictions").to_pylist()), expected, rtol=1e-9)


def test_the_answer_is_what_accept_says(fleet: Fleet, iris_server: Server) -> None:
    expected = fleet.iris.predict(iris_table(2).to_pandas()).tolist()
    assert post(iris_server, stream(iris_table(2)), "application/json").json() == {"predictions": expected}
    records = {"dataframe_records": iris_table(2).to_pylist()}
    assert read(iris_server.post("/invocations", records, Accept=ARROW)).column(0).to_pylist() == expected


def test_a_model_called_through_pyfunc_takes_arrow_too(workbench: Server) -> None:
    answer = read(post(workbench, stream(pa.table({"x": [1.0, 2.5]}))))
    assert answer.column("predictions").to_pylist() == [2.0, 5.0]


def test_numbers_of_other_types_are_taken_where_they_fit(fleet: Fleet, iris_server: Server) -> None:
    small = pa.table([column.cast(pa.float32()) for column in iris_table(3).columns], names=iris_table().column_names)
    expected = fleet.iris.predict(small.to_pandas().astype(float)).tolist()
    assert read(post(iris_server, stream(small))).column(0).to_pylist() == expected


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"no arrow", "InvalidArrow"),
        (b"", "InvalidArrow"),
        (stream(iris_table())[:200], "InvalidArrow"),
        (stream(iris_table().drop_columns(["petal_width"])), "MissingInput"),
        (stream(pa.table([pa.array(["a"])] * 4, names=iris_table().column_names)), "WrongType"),
        (stream(pa.table([pa.array([1.0])] * 2, names=["sepal_length", "sepal_length"])), "InvalidRequest"),
        (stream(iris_table(0)), "InvalidRequest"),
    ],
)
def test_what_is_wrong_is_named(iris_server: Server, body: bytes, code: str) -> None:
    response = post(iris_server, body)
    assert response.status_code == 400, response.text
    error: dict[str, Any] = response.json()["error"]
    assert error["code"] == code


def test_buffers_that_lie_about_their_length_are_refused(iris_server: Server) -> None:
    whole = stream(iris_table())
    random = np.random.default_rng(3)
    for _ in range(200):
        damaged = bytearray(whole)
        for place in random.integers(len(whole), size=4):
            damaged[place] = random.integers(256)
        assert post(iris_server, bytes(damaged)).status_code in {200, 400}
    assert iris_server.get("/ping").status_code == 200
