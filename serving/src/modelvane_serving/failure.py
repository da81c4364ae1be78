"""What a container tells the operator as it ends: one JSON object in its termination message.

From a `fetch` that worked it is the digest of the files, otherwise why the pod could not start, which the operator
turns into `rejected`. So the reasons are part of the contract between the two programs: they are constants here and
nowhere else.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

MODEL_NOT_FOUND: Final = "ModelNotFound"
FETCH_FAILED: Final = "FetchFailed"
ARTIFACT_MISSING: Final = "ArtifactMissing"
DIGEST_MISMATCH: Final = "DigestMismatch"
MODEL_LOAD_FAILED: Final = "ModelLoadFailed"
INPUT_EXAMPLE_FAILED: Final = "InputExampleFailed"
INVALID_MODEL: Final = "InvalidModel"
ENVIRONMENT_FAILED: Final = "EnvironmentFailed"
INVALID_SETTINGS: Final = "InvalidSettings"
SIGNATURE_INCOMPATIBLE: Final = "SignatureIncompatible"
VERIFICATION_REQUEST_FAILED: Final = "VerificationRequestFailed"

# Kubernetes keeps 4096 bytes of a termination message; a sentence that is longer than this is no sentence.
MESSAGE_LIMIT: Final = 1024


class StartError(Exception):
    """Ends the program: a reason that the operator knows and a sentence that a person understands."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = one_line(message)


def one_line(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Fold white space and cut at the limit, so that any exception's text fits a status field."""
    folded = " ".join(text.split())
    return folded if len(folded) <= limit else folded[: limit - 1] + "…"


def explain(error: Exception) -> str:
    """Name an error by its type and its words, without the credentials that a URL in it may carry."""
    return redact(one_line(f"{type(error).__name__}: {error}", 600))


def redact(text: str) -> str:
    """Cut user names, passwords and query strings (signatures of presigned links) out of the URLs in a text."""
    text = re.sub(r"(\w://)[^/@\s]+@", r"\1", text)
    return re.sub(r"(\w://[^\s?'\"]+)\?[^\s'\"]+", r"\1", text)


def write_termination_message(told: Mapping[str, str], path: Path) -> None:
    """Write the one object a container leaves behind. Outside Kubernetes, without such a file, the log has it too."""
    try:
        path.write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
    except OSError:
        return
