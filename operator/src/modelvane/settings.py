"""The environment, read once into frozen settings."""

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass

LOG_LEVELS = ("debug", "info", "warning", "error")


class SettingsError(Exception):
    """A setting is missing or cannot be read; the message names it."""


@dataclass(frozen=True)
class Settings:
    """How this process runs. Everything about models is in resources instead."""

    serving_image: str
    namespaces: tuple[str, ...]
    """Empty means all."""
    lease_name: str
    pod_namespace: str
    pod_name: str
    log_level: str
    log_format: str
    http_port: int
    workers: int
    leader_election: bool
    webhook_port: int | None
    """None means that no webhooks are taken."""
    webhook_url: str | None
    """Where MLflow reaches that port, unless a ModelRegistry says otherwise."""


def read_settings(env: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings, or say which one is wrong."""
    image = env.get("MODELVANE_SERVING_IMAGE", "")
    if not image:
        raise SettingsError("MODELVANE_SERVING_IMAGE is missing: the image that serves a model unless one is named")
    election = _choice(env, "MODELVANE_LEADER_ELECTION", "true", ("true", "false")) == "true"
    namespace = env.get("POD_NAMESPACE", "")
    if election and not namespace:
        raise SettingsError("POD_NAMESPACE is missing: leader election needs to know where its Lease is")
    webhook_port, webhook_url = _webhook(env)
    return Settings(
        serving_image=image,
        namespaces=tuple(filter(None, (name.strip() for name in env.get("MODELVANE_NAMESPACES", "").split(",")))),
        lease_name=env.get("MODELVANE_LEASE_NAME", "modelvane"),
        pod_namespace=namespace,
        pod_name=env.get("POD_NAME", "") or socket.gethostname(),
        log_level=_choice(env, "MODELVANE_LOG_LEVEL", "info", LOG_LEVELS),
        log_format=_choice(env, "MODELVANE_LOG_FORMAT", "text", ("text", "json")),
        http_port=_number(env, "MODELVANE_HTTP_PORT", 8080, 0),
        workers=_number(env, "MODELVANE_WORKERS", 5, 1),
        leader_election=election,
        webhook_port=webhook_port,
        webhook_url=webhook_url,
    )


def _choice(env: Mapping[str, str], name: str, default: str, choices: tuple[str, ...]) -> str:
    value = env.get(name, default).lower()
    if value not in choices:
        raise SettingsError(f"{name} is {value!r}: use one of {', '.join(choices)}")
    return value


def _webhook(env: Mapping[str, str]) -> tuple[int | None, str | None]:
    """Read where webhooks are taken, and where MLflow finds that: both or neither."""
    url = env.get("MODELVANE_WEBHOOK_URL")
    if not env.get("MODELVANE_WEBHOOK_PORT") and not url:
        return None, None
    if not url or not re.fullmatch(r"https?://[^\s/?#@]+[^\s?#]*", url):
        raise SettingsError(f"MODELVANE_WEBHOOK_URL is {url!r}: use an http or https address of MODELVANE_WEBHOOK_PORT")
    return _number(env, "MODELVANE_WEBHOOK_PORT", 8090, 0), url


def _number(env: Mapping[str, str], name: str, default: int, least: int) -> int:
    value = env.get(name, str(default))
    if not value.isdecimal() or int(value) < least:
        raise SettingsError(f"{name} is {value!r}: use a whole number of at least {least}")
    return int(value)
