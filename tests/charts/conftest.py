"""Chart tests run helm from PATH and need no cluster."""

import shutil

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say once what is missing, instead of a FileNotFoundError in every test."""
    if items and shutil.which("helm") is None:
        raise pytest.UsageError("helm is not on PATH: run `make test-charts`, which puts it there")
