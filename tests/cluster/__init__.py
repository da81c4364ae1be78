"""The Kubernetes cluster that tests and the demo run on: one command line for four kinds of it.

``python -m tests.cluster up`` starts a cluster, ``env`` prints the shell exports that point helm and kubectl at
it. Nothing outside this package knows which kind of cluster it is talking to.
"""


class Failure(Exception):  # noqa: N818 - it is shown to a person, never caught for what it is
    """Something the user must read; its text is the whole message."""
