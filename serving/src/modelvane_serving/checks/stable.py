"""The signature of the version that serves now, and the candidate's against it.

`fetch` leaves it in a file beside the model, `serve` compares before it imports anything that takes long. A signature
that is not to be had is no reason to refuse a version: not comparable is not incompatible.
"""

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from modelvane_serving.checks.compatibility import find_differences
from modelvane_serving.failure import SIGNATURE_INCOMPATIBLE, StartError, one_line
from modelvane_serving.fetched import FetchedModel
from modelvane_serving.settings import ServeSettings
from modelvane_serving.signature import Signature, UnknownFormError, read_signature

_log = logging.getLogger(__name__)

STABLE_FILE: Final = "stable_signature.json"
# So that what differs and both signatures fit the message of a condition.
SHOWN_DIFFERENCES: Final = 4
SHOWN_SIGNATURE: Final = 200


def write_stable(model_dir: Path, model_uri: str, signature: Mapping[str, Any] | None) -> None:
    """Write the file, whole or not at all: the writer may be ended at any moment."""
    content = {"model_uri": model_uri, "signature": signature}
    part = model_dir / f"{STABLE_FILE}.part"
    part.write_text(json.dumps(content), encoding="utf-8")
    os.replace(part, model_dir / STABLE_FILE)


def verify_signature(fetched: FetchedModel, settings: ServeSettings) -> None:
    """Refuse a model that callers of the stable version could not go on with."""
    path = settings.model_dir / STABLE_FILE
    if not path.exists():
        return
    content = json.loads(path.read_text(encoding="utf-8"))
    fields = {"stable": content["model_uri"]}
    if not content["signature"] or not fetched.mlmodel.signature:
        _log.info("one of the versions has no signature: nothing to compare", extra={"fields": fields})
        return
    try:
        stable, candidate = read_signature(content["signature"]), read_signature(fetched.mlmodel.signature)
    except UnknownFormError as error:
        _log.warning(
            "a signature cannot be read, so none is compared", extra={"fields": {**fields, "error": str(error)}}
        )
        return
    differences = find_differences(stable, candidate)
    if differences:
        name, _, version = content["model_uri"].removeprefix("models:/").rpartition("/")
        known_as = f"version {version}" if name == settings.model_name else f"version {version} of {name!r}"
        raise StartError(
            SIGNATURE_INCOMPATIBLE,
            f"{_shorten(differences)}; stable ({known_as}) {_show(stable)}; "
            f"version {settings.model_version} {_show(candidate)}",
        )
    _log.info("the signature is compatible with stable's", extra={"fields": fields})


def _shorten(differences: list[str]) -> str:
    shown = [one_line(difference, SHOWN_SIGNATURE) for difference in differences[:SHOWN_DIFFERENCES]]
    more = len(differences) - len(shown)
    return "; ".join(shown) + (f" and {more} more" if more else "")


def _show(signature: Signature) -> str:
    return one_line(str(signature), SHOWN_SIGNATURE)
