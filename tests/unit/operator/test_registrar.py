"""The webhooks of one registry hold up nothing of another one, and nothing for ever."""

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest
from modelvane.cluster.kube import Kind, Kube
from modelvane.engine.state import Key
from modelvane.registry import registrar, worker
from modelvane.registry.registrar import Registrar
from modelvane.registry.subscription import Subscription, Wanted, Written
from modelvane.spec import ModelRegistrySpec

KEY = Key("ModelRegistry", "ns", "default")
SPEC = ModelRegistrySpec.model_validate(
    {"uri": "http://mlflow:5000", "webhook": {"enabled": True, "secretRef": {"name": "hook"}}}
)


class Secrets(Kube):
    """A cluster that has one Secret."""

    def __init__(self) -> None:
        """Need no cluster."""

    async def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
        return {"data": {"secret": "c2VjcmV0"}}


def test_a_webhook_is_registered_after_a_call_that_never_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "CALL_TIMEOUT", 0.05)
    monkeypatch.setattr(registrar, "AGAIN", timedelta(milliseconds=10))
    drips, calls = threading.Event(), list[str]()

    def ensure(_: Subscription, wanted: Wanted, __: Written | None) -> Written:
        calls.append(wanted.uid)
        if len(calls) == 1:
            drips.wait(10)
        return Written("id", 1, wanted)

    async def run() -> list[str]:
        said: list[str] = []
        keeper = Registrar(
            Secrets(), lambda _: said.append((keeper.verdict(KEY) or ("",) * 3)[1]), print, "http://hook"
        )
        keeper.set_registry(KEY, "uid", SPEC)
        async with asyncio.timeout(3):
            while "Registered" not in said:
                await asyncio.sleep(0.005)
        keeper.stop()
        return said

    monkeypatch.setattr(Subscription, "ensure", ensure)
    try:
        assert asyncio.run(run()) == ["Timeout", "Registered"]
    finally:
        drips.set()
