"""The environment, and the sentence when it is wrong."""

import pytest
from modelvane.settings import SettingsError, read_settings

GOOD = {"MODELVANE_SERVING_IMAGE": "serving:1", "POD_NAMESPACE": "modelvane", "POD_NAME": "op-1"}


def test_the_defaults_watch_everything_with_leader_election() -> None:
    settings = read_settings(GOOD)
    assert (settings.namespaces, settings.leader_election, settings.http_port, settings.workers) == ((), True, 8080, 5)


def test_namespaces_are_a_list() -> None:
    assert read_settings({**GOOD, "MODELVANE_NAMESPACES": "a, b,"}).namespaces == ("a", "b")


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({}, "MODELVANE_SERVING_IMAGE is missing"),
        ({"MODELVANE_SERVING_IMAGE": "x"}, "POD_NAMESPACE is missing"),
        ({**GOOD, "MODELVANE_LEADER_ELECTION": "yes"}, "MODELVANE_LEADER_ELECTION is 'yes': use one of true, false"),
        ({**GOOD, "MODELVANE_WORKERS": "0"}, "MODELVANE_WORKERS is '0': use a whole number of at least 1"),
        ({**GOOD, "MODELVANE_WEBHOOK_PORT": "8090"}, "MODELVANE_WEBHOOK_URL is None: use an http or https address"),
        (
            {**GOOD, "MODELVANE_WEBHOOK_URL": "hooks"},
            "MODELVANE_WEBHOOK_URL is 'hooks': use an http or https address",
        ),
        ({**GOOD, "MODELVANE_LOG_LEVEL": "loud"}, "MODELVANE_LOG_LEVEL is 'loud': use one of debug"),
    ],
)
def test_a_wrong_setting_is_named(env: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read_settings(env)
