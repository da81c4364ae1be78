"""Builds the container images of this repository: ``python -m images.build``."""


class BuildError(Exception):
    """An image cannot be built; its text is what the user reads."""
