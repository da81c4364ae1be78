"""What goes wrong inside a model, as opposed to a request that it was never given."""

import traceback
from pathlib import Path


class ModelError(Exception):
    """The model raised while predicting. Carries where, never the words: those may repeat the caller's values."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(type(cause).__name__)
        self.error_type = type(cause).__name__
        frames = traceback.extract_tb(cause.__traceback__)
        self.where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno} {frames[-1].name}" if frames else ""
