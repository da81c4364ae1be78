"""Each model answers each request as MLflow's own server does, but for the differences that are listed."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.serving.differential.answers import Answer, Caller, Exchange
from tests.serving.differential.conftest import Runtimes, wait_for
from tests.serving.differential.corpus import CORPUS
from tests.serving.differential.generated import requests_of
from tests.serving.differential.rules import RULES, rule_for
from tests.serving.differential.tables import Request

# By engine: what runs the model's own library gives its numbers, a compiled model computes them another way.
TOLERANCES = {"pyfunc": 0.0, "native": 1e-6, "compiled": 1e-5}
SHOWN = 12


def ask(port: int, prefix: str, requests: Sequence[Request]) -> list[Answer]:
    caller = Caller(port, prefix)
    try:
        return [caller.send(request) for request in requests]
    finally:
        caller.close()


@pytest.mark.parametrize("model", CORPUS)
def test_answers_agree(model: str, runtimes: Runtimes, reference: int, applied: Counter[str]) -> None:
    server = runtimes.take(model)
    wait_for(f"http://127.0.0.1:{reference}/{model}/ping")
    tolerance = TOLERANCES.get(server.get("/model-info").json()["engine"], 1e-6)
    requests = requests_of(CORPUS[model])
    with ThreadPoolExecutor(2) as pool:
        theirs = pool.submit(ask, reference, f"/{model}", requests)
        ours = pool.submit(ask, server.port, "", requests)
        answers = zip(requests, theirs.result(), ours.result(), strict=True)
    exchanges = [Exchange(*three, tolerance) for three in answers]
    log = server.log
    runtimes.end(model)
    unexplained = []
    for exchange in exchanges:
        if not exchange.agree():
            rule = rule_for(exchange)
            if rule is None:
                unexplained.append(exchange)
            else:
                applied[rule.name] += 1
    applied.update(models=1, requests=len(exchanges))
    shown = "\n".join(f"{number + 1}. {exchange}" for number, exchange in enumerate(unexplained[:SHOWN]))
    assert not unexplained, f"{len(unexplained)} of {len(exchanges)} differ:\n{shown}"
    answered = sum(exchange.both_answered for exchange in exchanges)
    assert answered >= 20, f"only {answered} of {len(exchanges)} requests were answered by both: the model is not tried"
    assert "Traceback" not in log


def test_every_rule_was_needed(applied: Counter[str]) -> None:
    if applied["models"] < len(CORPUS):
        pytest.skip("only a run of all models says which rules are needed")
    assert applied["requests"] >= 1500
    assert {rule.name for rule in RULES if not applied[rule.name]} == set(), "no longer needed"
