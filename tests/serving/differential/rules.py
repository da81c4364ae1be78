"""Where this server is meant to answer otherwise than MLflow's. `docs/differences.md` has the same rows.

A rule goes by what is odd about a request (its traits), or by what MLflow says, and always by what both answered, so
that it allows one difference and nothing else. One that allowed nothing in a whole run fails it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from tests.serving.differential.answers import Exchange, is_refusal, same, strict, with_null
from tests.serving.differential.tables import CSV


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One allowed difference."""

    name: str
    mlflow: str
    here: str
    why: str
    applies: Callable[[Exchange], bool]

    @property
    def row(self) -> str:
        """Return the rule as a row of the documentation's table."""
        return f"| `{self.name}` | {self.mlflow} | {self.here} | {self.why} |"


def refused_with(codes: Iterable[str], traits: Iterable[str]) -> Callable[[Exchange], bool]:
    """Refused here only, with one of the codes, for one of the traits."""
    known, odd = frozenset(codes), frozenset(traits)
    return lambda exchange: (
        exchange.refused_here_only and exchange.ours.error["code"] in known and bool(exchange.request.traits & odd)
    )


def answered_instead_of(*texts: str) -> Callable[[Exchange], bool]:
    """Answered here only, where MLflow's refusal says one of the texts."""
    return lambda exchange: exchange.refused_there_only and any(text.encode() in exchange.theirs.body for text in texts)


def _equal_but_for(exchange: Exchange, change: Callable[[Any], Any]) -> bool:
    if not exchange.both_answered:
        return False
    theirs = exchange.theirs.value()
    changed = change(theirs)
    return not same(theirs, changed, 0.0) and same(changed, strict(exchange.ours.body), exchange.tolerance)


def _without(text: str) -> Callable[[Any], Any]:
    """Put null where a text stands for it."""

    def change(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: change(item) for key, item in value.items()}
        if isinstance(value, list):
            return [change(item) for item in value]
        return None if value == text else with_null(value)

    return change


def _is_model_error(exchange: Exchange) -> bool:
    """Whether the model itself raised: that is all that may be a 500."""
    error = exchange.ours.error
    told = b"unexpected error while evaluating the model" in exchange.theirs.body
    return exchange.ours.status == 500 and error.get("code") == "ModelError" and told


def _is_unencodable(exchange: Exchange) -> bool:
    return exchange.ours.status == 500 and exchange.ours.error.get("code") == "UnencodableOutput"


def _is_csv_of_bytes(exchange: Exchange) -> bool:
    csv = exchange.request.content_type is not None and exchange.request.content_type.startswith(CSV)
    decoded = exchange.both_answered or (exchange.refused_here_only and exchange.ours.error.get("field") == "raw")
    return csv and "model bytes" in exchange.request.traits and decoded


def _is_beside_messages(exchange: Exchange) -> bool:
    answered = exchange.ours.status == 200 or is_refusal(exchange.ours)
    return "messages beside" in exchange.request.traits and answered


def _in(*kinds: str, labels: Iterable[str]) -> list[str]:
    return [f"{label} in {kind}" for label in labels for kind in kinds]


# As much of it as the name of a request shows.
HUNDREDS_OF_DIGITS: Final = "0" * 30
WRONG_FORM: Final = ("InvalidRequest", "WrongType", "WrongShape", "MissingInput")
RULES: Final = (
    Rule(
        name="non-finite-is-null",
        mlflow="writes the bare words `NaN` and `Infinity`",
        here="`null`",
        why="they are not JSON: most parsers fail on the whole answer",
        applies=lambda exchange: _equal_but_for(exchange, with_null),
    ),
    Rule(
        name="no-time-is-null",
        mlflow="writes a missing time as the text `NaT`",
        here="`null`",
        why="a text that is no time is one more case for whoever reads times",
        applies=lambda exchange: _equal_but_for(exchange, _without("NaT")),
    ),
    Rule(
        name="null-is-not-a-text",
        mlflow="gives the model the text `None` for a null in a column of texts, in `instances` and `inputs` only",
        here="null, as in the other formats",
        why="the model is given what was sent",
        applies=lambda exchange: _equal_but_for(exchange, _without("None")),
    ),
    Rule(
        name="media-type-as-http-has-it",
        mlflow='refuses `Application/JSON`, `charset="utf-8"`, `charset=utf8`, a trailing `;`',
        here="takes them",
        why="they say the same as `application/json; charset=utf-8`",
        applies=lambda exchange: exchange.theirs.status == 415 and exchange.ours.status == 200,
    ),
    Rule(
        name="json-is-utf-8",
        mlflow="also takes UTF-16, UTF-32, a byte order mark, and `\\ud800` without its other half",
        here="400 `InvalidJson`",
        why="RFC 8259: JSON is sent as UTF-8 without a mark; half a character has no UTF-8 to answer with",
        applies=refused_with(["InvalidJson"], ["body: UTF-16", "byte order mark", "body: half of a surrogate pair"]),
    ),
    Rule(
        name="number-out-of-range",
        mlflow="takes a number of hundreds of digits where the column is not numeric, and in `params`",
        here="400 `InvalidJson`",
        why="no number of any type holds it",
        applies=lambda exchange: (
            exchange.refused_here_only
            and exchange.ours.error["code"] in {"InvalidJson", "OutOfRange"}
            and any(trait == "over double" or HUNDREDS_OF_DIGITS in trait for trait in exchange.request.traits)
        ),
    ),
    Rule(
        name="fraction-in-integer",
        mlflow="cuts the fraction off a number for an integer column",
        here="400 `WrongType`, with the column",
        why="the caller would not know that another question was answered",
        applies=refused_with(["WrongType"], _in("long", "integer", "long?", labels=("fraction", "small"))),
    ),
    Rule(
        name="integer-overflow",
        mlflow="lets a number that is too large for an integer column become another",
        here="400 `OutOfRange`, with the column",
        why="the caller would not know that another question was answered",
        applies=refused_with(
            ["OutOfRange", "WrongType"],
            [
                *_in("integer", labels=("over int32", "over 2^53")),
                *_in(
                    "long", "integer", "long?", labels=("over int64", "over int64 float", "large float", "whole float")
                ),
            ],
        ),
    ),
    Rule(
        name="integer-below-64-bits",
        mlflow="500 where such an integer is in a table of `instances` for a model without a signature",
        here="gives it to the model",
        why="MLflow's server fails on what its own parser has made",
        applies=lambda exchange: (
            exchange.refused_there_only
            and exchange.theirs.status == 500
            and any(trait.startswith("over int64") for trait in exchange.request.traits)
        ),
    ),
    Rule(
        name="number-beyond-1e300",
        mlflow="hands any double to the model, and some get through it",
        here="400 `OutOfRange` above 1e300 for a model that refuses the largest double",
        why="results on the way to the answer overflow, and then the answer means nothing",
        applies=lambda exchange: (
            exchange.refused_here_only
            and exchange.ours.error["code"] == "OutOfRange"
            and exchange.ours.error.get("expected") == "at most 1e+300"
        ),
    ),
    Rule(
        name="table-of-another-form",
        mlflow="lets pandas make a table of what is none: `null` or an object for `data`, `index` or `columns`, "
        "a column named `null`, rows that are objects, records that are arrays or `null`",
        here="400, with the field",
        why="what pandas makes of it depends on the values, and is seldom what was meant",
        applies=refused_with(
            WRONG_FORM,
            [
                *(f"split: {name}" for name in ("index null", "columns null", "data null", "data an object")),
                *("split: a column null", "split: data of objects", "records: of lists", "records: of nulls"),
            ],
        ),
    ),
    Rule(
        name="short-row",
        mlflow="fills a short row of `dataframe_split` with nulls",
        here="400 `WrongShape`, with the row",
        why="a value left out in the middle moves all that follow into the wrong columns",
        applies=refused_with(["WrongShape"], ["split: a short row"]),
    ),
    Rule(
        name="column-twice",
        mlflow="takes a table with a column twice, if nothing needs it once",
        here="400 `InvalidRequest`, with the column",
        why="one of the two would be ignored",
        applies=refused_with(["InvalidRequest"], ["split: a column twice"]),
    ),
    Rule(
        name="params-are-an-object",
        mlflow="ignores `params` that are no object",
        here="400 `WrongType`",
        why="the caller meant to change the answer, and would not know that nothing changed",
        applies=refused_with(["WrongType"], ["params []", "params 'text'", "params 7"]),
    ),
    Rule(
        name="table-beside-messages",
        mlflow="takes a body with `messages`, `prompt` or `input` beside a table for a chat, and ignores the table",
        here="answers the table",
        why="a body with one of the four formats is what that format says",
        applies=_is_beside_messages,
    ),
    Rule(
        name="csv-of-every-signature",
        mlflow="refuses CSV when the signature has a datetime, a tensor, an array or an object anywhere",
        here="reads it; a time as in JSON",
        why="the columns are there; MLflow's parser only lacks a name for their type",
        applies=answered_instead_of(
            "datetime64[ns] is not supported for parsing",
            "TensorSpec only supports numpy types",
            "some of the inputs types are not DataType",
        ),
    ),
    Rule(
        name="csv-binary-is-base64",
        mlflow="gives the model the base64 text of a binary column, in CSV only",
        here="the bytes, as in JSON; 400 `WrongType` for what is no text",
        why="the model is given what its signature says",
        applies=_is_csv_of_bytes,
    ),
    Rule(
        name="model-error-is-500",
        mlflow="400 when the model itself raises",
        here="500 `ModelError`",
        why="a model that fails is not the caller's mistake: it has to count against its version in a rollout",
        applies=_is_model_error,
    ),
    Rule(
        name="answer-that-is-no-json",
        mlflow="500 without a body of JSON",
        here="500 `UnencodableOutput`",
        why="a model whose answer cannot be written is not the caller's mistake",
        applies=_is_unencodable,
    ),
)


def rule_for(exchange: Exchange) -> Rule | None:
    """Return the first rule that allows the difference."""
    return next((rule for rule in RULES if rule.applies(exchange)), None)
