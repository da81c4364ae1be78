"""MLflow's own scoring server, for many models in one process: a program of its own, run by the tests.

What `mlflow models serve` starts is `uvicorn mlflow.pyfunc.scoring_server.app:app`, with one model, and most of its ten
seconds goes to imports. Here the same `scoring_server.init` makes one app a model, each below the model's name.
`test_reference.py` holds it against the command itself.
"""

import sys
from pathlib import Path
from typing import Any

import uvicorn
from mlflow.pyfunc import scoring_server


class Reference:
    """Load a model when it is first asked for: a run of one model pays for one."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._apps: dict[str, Any] = {}

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        _, name, path = scope["path"].split("/", 2)
        if name not in self._apps:
            model = scoring_server.load_model_with_mlflow_config(str(self._root / name / "artifacts"))  # type: ignore[no-untyped-call]
            self._apps[name] = scoring_server.init(model)
        await self._apps[name]({**scope, "path": f"/{path}", "raw_path": f"/{path}".encode()}, receive, send)


if __name__ == "__main__":
    uvicorn.run(Reference(Path(sys.argv[1])), host="127.0.0.1", port=int(sys.argv[2]), log_level="error")
