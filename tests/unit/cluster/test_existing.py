import pytest

from tests.cluster.existing import refusal


def test_the_current_context_is_refused_unless_it_is_named() -> None:
    assert refusal(None, ["production", "dev"], "production") == (
        "the current context (it is 'production' now) is only used when it is named: --context NAME; "
        "known contexts: dev, production"
    )


def test_without_any_context_that_is_said() -> None:
    assert refusal(None, [], "") == (
        "the current context is only used when it is named: --context NAME; known contexts: none"
    )


def test_a_context_that_does_not_exist_is_refused() -> None:
    assert refusal("stagign", ["staging"], "staging") == (
        "the kubeconfig has no context 'stagign'; known contexts: staging"
    )


@pytest.mark.parametrize("current", ["dev", "production"])
def test_a_named_context_is_used_whichever_is_current(current: str) -> None:
    assert refusal("dev", ["production", "dev"], current) is None
