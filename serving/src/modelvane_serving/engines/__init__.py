"""What runs a model: an engine takes decoded input and gives predictions.

`pyfunc` is MLflow's own way and takes anything. `native` calls the flavor's object below it. `compiled` runs the model
in ONNX Runtime, and only when it has shown to answer as the original does.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from modelvane_serving.engines.errors import ModelError
from modelvane_serving.engines.limits import Limits, find_blame
from modelvane_serving.errors import ApiError
from modelvane_serving.formats.tables import Table, TablePlan

COMPILED: Final = "compiled"
NATIVE: Final = "native"
PYFUNC: Final = "pyfunc"
NO_LIMITS: Final = Limits()


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A loaded model. `predict` takes a Table where there is a plan, otherwise what MLflow's decoder makes.

    `row_wise` says that the answer to a row does not depend on the rows beside it, so that the rows of several requests
    may be one call. `reason` says why it is not a faster engine.
    """

    name: str
    predict: Callable[[Table], Any]
    plan: TablePlan | None
    row_wise: bool = False
    reason: str | None = None
    # MLflow's model: what takes the input that no plan covers. Without one there is only the plan.
    pyfunc: Any = None
    limits: Limits = NO_LIMITS
    details: dict[str, Any] = field(default_factory=dict)

    def answer(self, table: Table) -> Any:
        """Check a table, predict, and tell a caller's gap from a model's fault. Raises ApiError and ModelError.

        Checked here, because a batch is checked as quickly as a row.
        """
        if self.plan is None:
            raise TypeError("there is no plan for this model's input")
        self.limits.check(table, self.plan)
        try:
            return self.predict(table)
        except (ApiError, ModelError):
            raise
        except Exception as error:
            # What somebody's own code makes of a gap is that code's affair.
            blame = None if self.name == PYFUNC else find_blame(table, self.plan)
            raise blame or ModelError(error) from error
