"""What is wrong when a webhook cannot be registered: what to change, or a registry that is away."""

from typing import cast

import pytest
from mlflow.exceptions import MlflowException, RestException
from modelvane.registry.reader import Access
from modelvane.registry.subscription import RefusedError, Store, Subscription, Wanted, Written
from modelvane.registry.trouble import UnreachableError

WANTED = Wanted("uid", "http://hook", "s", "description")
WRITTEN = Written("id", 1, WANTED)


def rest(error_code: str, message: str = "") -> RestException:
    return RestException({"error_code": error_code, "message": message})  # type: ignore[no-untyped-call]


def page(status: int) -> MlflowException:
    return MlflowException(
        f"API request to endpoint /x failed with error code {status} != 200. Response body: '<html>'"
    )


def twice(status: int) -> MlflowException:
    """Return what MLflow's client makes of an answer that was still the same at the second try."""
    return MlflowException(f"failed with exception Max retries exceeded (Caused by too many {status} error responses)")


class Failing:
    """A server that answers everything with an error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def list_webhooks(self, *_: object) -> None:
        raise self.error


def trouble(error: Exception, written: Written | None) -> tuple[type[Exception], str]:
    with pytest.raises((RefusedError, UnreachableError)) as raised:
        Subscription(Access("http://mlflow:5000", {}), cast(Store, Failing(error))).ensure(WANTED, written)
    value: Exception = raised.value
    reason = value.reason if isinstance(value, RefusedError) else ""
    return type(value), value.why.reason if isinstance(value, UnreachableError) else reason


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (twice(500), RefusedError, "ServerError"),
        (rest("INTERNAL_ERROR"), RefusedError, "ServerError"),
        (twice(502), UnreachableError, "ServerError"),
        (page(502), UnreachableError, "ServerError"),
        (twice(503), UnreachableError, "ServerError"),
        (page(504), UnreachableError, "ServerError"),
        (rest("TEMPORARILY_UNAVAILABLE"), UnreachableError, "ServerError"),
        (page(401), UnreachableError, "Unauthorized"),
        (rest("UNAUTHENTICATED"), UnreachableError, "Unauthorized"),
        (page(403), RefusedError, "NotAdmin"),
        (rest("PERMISSION_DENIED"), RefusedError, "NotAdmin"),
        (rest("INVALID_PARAMETER_VALUE", "too long"), RefusedError, "Refused"),
        (rest("INVALID_PARAMETER_VALUE", "Invalid webhook URL scheme"), RefusedError, "SchemeRefused"),
        (MlflowException("no JSON"), UnreachableError, "UnexpectedAnswer"),
    ],
)
@pytest.mark.parametrize("written", [None, WRITTEN], ids=["new", "registered"])
def test_only_what_mlflow_itself_has_against_a_webhook_is_a_refusal(
    error: Exception, kind: type[Exception], reason: str, written: Written | None
) -> None:
    assert trouble(error, written) == (kind, reason)


@pytest.mark.parametrize("error", [page(404), rest("ENDPOINT_NOT_FOUND")], ids=["page", "MLflow's"])
def test_a_server_that_had_webhooks_has_not_lost_them(error: Exception) -> None:
    assert trouble(error, None) == (RefusedError, "NotSupported")
    assert trouble(error, WRITTEN) == (UnreachableError, "UnexpectedAnswer")
