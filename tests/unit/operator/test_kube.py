"""What passes is tried again."""

import asyncio
import json
from typing import Any

import pytest
from kubernetes.aio.client import ApiClient
from modelvane.cluster.kube import SECRET, Kube
from modelvane.queue import TryAgainError


def test_an_answer_that_is_no_json_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Page:
        async def json(self) -> Any:
            return json.loads("<html>502</html>")

    async def request(*_: object, **__: object) -> Page:
        return Page()

    async def run() -> None:
        async with ApiClient() as client:
            kube = Kube(client)
            monkeypatch.setattr(kube._dynamic, "request", request)
            await kube.get(SECRET, "ns", "mlflow")

    with pytest.raises(TryAgainError, match="JSONDecodeError"):
        asyncio.run(run())
