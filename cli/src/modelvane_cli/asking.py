"""Asks the operator for something by an annotation, and waits for its answer in `status.handled`."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from modelvane_cli.cluster import MODEL_DEPLOYMENT, Cluster, MissingError, Object
from modelvane_cli.exits import Exit, StopError
from modelvane_cli.look import explain_missing
from modelvane_cli.names import REQUESTS, annotation

POLL_SECONDS = 0.3
_NEXT_ANSWER = re.compile(rf"; (?=(?:{'|'.join(REQUESTS)}): )")
"""Where the answer to another request begins. A sentence may have a "; " of its own."""


@dataclass(frozen=True)
class Answer:
    """What became of a request."""

    namespace: str
    name: str
    request: str
    value: str
    answered: bool = False
    answer: str | None = None

    def document(self) -> dict[str, Any]:
        """Return what `-o json` prints."""
        facts = {"namespace": self.namespace, "name": self.name, "request": self.request, "value": self.value}
        return {**facts, "answered": self.answered, "answer": self.answer}

    def lines(self) -> list[str]:
        """Say what became of it."""
        if self.answered:
            return [f"{self.name}: {self.answer or self._unheard}"]
        return [f"{self.name} is asked to {self.request}."]

    @property
    def _unheard(self) -> str:
        return f"{self.request}: answered, and another answer has taken its place; the events have it."


def ask(cluster: Cluster, name: str, request: str, wait: float) -> Answer:
    """Set the annotation to a value that was never there, and wait up to so many seconds for the answer."""
    namespace = cluster.namespace
    value = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}-{secrets.token_hex(3)}"
    try:
        resource = cluster.annotate(MODEL_DEPLOYMENT, namespace, name, {annotation(request): value})
    except MissingError:
        raise explain_missing(cluster, namespace, name) from None
    asked = Answer(namespace, name, request, value)
    if wait <= 0:
        return asked
    deadline = time.monotonic() + wait
    while True:
        answer = find_answer(resource, asked)
        if answer.answered:
            return answer
        if time.monotonic() >= deadline:
            raise StopError(
                Exit.NO_ANSWER,
                f"{name} is asked to {request}, and the operator has not answered within {wait:g} s. The request stays "
                f"and is answered when the operator sees it; `modelvane doctor {name} -n {namespace}` says whether it "
                "runs.",
            )
        time.sleep(POLL_SECONDS)
        resource = cluster.get(MODEL_DEPLOYMENT, namespace, name)


def find_answer(resource: Object, asked: Answer) -> Answer:
    """Look for the answer to this request in a ModelDeployment."""
    handled = (resource.get("status") or {}).get("handled") or {}
    if handled.get(asked.request) != asked.value:
        return asked
    # The status keeps the last answers only, and they may be to what somebody else has asked meanwhile.
    answers = _NEXT_ANSWER.split(handled.get("answer") or "")
    own = next((one for one in answers if one.startswith(f"{asked.request}:")), None)
    return replace(asked, answered=True, answer=own)
