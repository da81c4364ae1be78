"""The picture of docs/benchmarks: requests a second of each server, one panel a model and number of rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.bench.serving.figures import Case, Results, best_by_round, best_way, ratio, throughput
from tests.bench.serving.peers import FLOORS, MLFLOW, OURS
from tests.bench.serving.reach import LONG

# Colours that are told apart without red and green (Okabe and Ito).
SERIES: dict[str, tuple[tuple[str, ...], str]] = {
    "mlflow models serve": ((MLFLOW,), "#999999"),
    "MLServer, the better of its two endpoints": (("MLServer /v2", "MLServer /invocations"), "#E69F00"),
    "FastAPI + uvicorn, the better of two": (("FastAPI tuned", "FastAPI tutorial"), "#56B4E9"),
    "Modelvane, JSON": ((OURS,), "#0072B2"),
    "Modelvane, binary tensors or Arrow": (LONG, "#004C74"),
}
TITLES = {
    "lr": "LogisticRegression\n10 columns",
    "rf": "RandomForest(100)\n10 columns",
    "xgb": "XGBoost(100)\n10 columns",
    "wide": "LogisticRegression\n600 columns",
    "text": "TF-IDF + LogisticRegression\ntext",
    "opaque": "opaque PythonModel\n10 columns",
}
GROUP = 0.84
"""The width of a group of bars; the rest is what separates it from the next."""


def draw(results: Results, path: Path) -> None:
    """Write a PNG."""
    # Imported here: the report can be computed, and tested, where there is no matplotlib.
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    cases = results.cases()
    models = list(dict.fromkeys(case.model for case in cases))
    rows = sorted({case.rows for case in cases})
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = plt.subplots(
        len(rows),
        len(models),
        figsize=(max(8.5, 3.1 * len(models)), 1.2 + 2.9 * len(rows)),
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    for line, count in enumerate(rows):
        for column, model in enumerate(models):
            _panel(axes[line][column], results, [case for case in cases if (case.model, case.rows) == (model, count)])
            if line == 0:
                axes[line][column].set_title(TITLES[model], fontsize=10)
            if line == len(rows) - 1:
                axes[line][column].set_xlabel("connections")
        axes[line][0].set_ylabel(f"{count:,} row{'s' * (count > 1)} a request\nrequests/s (log scale)")
    handles: list[Any] = [mpl.patches.Patch(color=colour, label=name) for name, (_, colour) in SERIES.items()]
    handles.append(
        mpl.lines.Line2D([], [], color="black", linestyle=":", label="echo without a model, the better floor")
    )
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(
        "One worker on one core, every answer checked; median of the rounds, whiskers from the lowest to the highest;"
        " above: how many times mlflow models serve",
        fontsize=10,
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _panel(axis: Any, results: Results, cases: list[Case]) -> None:
    axis.set_yscale("log")
    axis.grid(axis="y", which="major", linewidth=0.5, alpha=0.5)
    axis.set_axisbelow(True)
    present = [
        (ways, colour)
        for ways, colour in SERIES.values()
        if any(throughput(results, way, case) for way in ways for case in cases)
    ]
    width = GROUP / max(1, len(present))
    for group, case in enumerate(cases):
        for place, (ways, colour) in enumerate(present):
            best = best_way(results, ways, case)
            found = throughput(results, best, case) if best else None
            if found is None or not found.median:
                continue
            at = group - GROUP / 2 + (place + 0.5) * width
            whiskers = [[found.median - found.low], [found.high - found.median]]
            axis.bar(at, found.median, width * 0.94, color=colour, yerr=whiskers, error_kw={"elinewidth": 0.8})
        floor = best_way(results, FLOORS, case)
        level = throughput(results, floor, case) if floor else None
        if level:
            axis.hlines(level.median, group - GROUP / 2, group + GROUP / 2, colors="black", linestyles=":")
        _say_times(axis, results, group, case)
    axis.set_xticks(range(len(cases)), [str(case.connections) for case in cases])
    # A panel with one group has bars as wide as those of its neighbours.
    axis.set_xlim(-0.6, max(3, len(cases)) - 0.4)
    axis.margins(y=0.15)


def _say_times(axis: Any, results: Results, group: int, case: Case) -> None:
    """Write above a group how many times mlflow's throughput the best way of the runtime has."""
    ours = best_way(results, [OURS, *LONG], case)
    best = throughput(results, ours, case) if ours else None
    times = ratio(best_by_round(results, [OURS, *LONG], [case]), best_by_round(results, [MLFLOW], [case]))
    if best and times:
        place = group - GROUP / 2 + GROUP * 0.86
        axis.annotate(
            f"{times.median:.3g}x",
            (place, best.high),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color="#0072B2",
        )
