"""The names that the operator gives to things, as far as this tool reads them.

They are written down here a second time, so that installing the tool does not install the operator; a test compares
them. Pure.
"""

GROUP = "serving.modelvane.dev"
API_VERSION = f"{GROUP}/v1alpha1"

LABEL_MODEL_DEPLOYMENT = f"{GROUP}/modeldeployment"
LABEL_REVISION = f"{GROUP}/revision"
LABEL_MODEL_VERSION = f"{GROUP}/model-version"

REQUESTS = ("pause", "resume", "abort", "retry", "restart")


def annotation(request: str) -> str:
    """Return the annotation that makes a request."""
    return f"{GROUP}/{request}"
