"""The packages that a model wants and the image has not: `fetch` leaves them beside the model, `serve` puts them first.

Apart from what makes them, because this is on the way of every start.
"""

import importlib
import os
import sys
from pathlib import Path
from typing import Final

PACKAGES_DIR: Final = "packages"


def activate(model_dir: Path) -> None:
    """Put the model's own packages in front of the image's, for this process and those that it starts."""
    packages = (model_dir / PACKAGES_DIR).resolve()
    if not packages.is_dir():
        return
    sys.path.insert(0, str(packages))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(packages), os.environ.get("PYTHONPATH"))))
    importlib.invalidate_caches()
    # Little is imported yet; what is and has another version here is forgotten, so that the model gets its own.
    own = {entry.name.partition(".")[0] for entry in packages.iterdir()}
    for name in [name for name in sys.modules if name.partition(".")[0] in own]:
        del sys.modules[name]
