"""Asks a Prometheus server instant queries. The words of its trouble stay the same while the trouble does."""

import asyncio
import json
from collections.abc import Mapping
from math import isnan

import aiohttp
from yarl import URL

from modelvane.analysis.pods import Answer, NoAnswerError, fetch
from modelvane.spec import Prometheus, Query

TIMEOUT = 2.0
LONGEST_COMPLAINT = 200
LONGEST_ANSWER = 256 * 1024


class QueryError(Exception):
    """A query has no single value. The words are for the status."""


async def ask(
    session: aiohttp.ClientSession, wanted: Prometheus, variables: Mapping[str, str]
) -> tuple[dict[str, float | None], str | None]:
    """Ask all queries at once: the values by name, None without data, and in words why a name is missing."""
    answers = await asyncio.gather(*(_ask(session, wanted.address, query, variables) for query in wanted.queries))
    values = {query.name: a for query, a in zip(wanted.queries, answers, strict=True) if not isinstance(a, str)}
    # A server that is down says the same of every query.
    troubles = dict.fromkeys(answer for answer in answers if isinstance(answer, str))
    return values, "; ".join(troubles) or None


async def _ask(
    session: aiohttp.ClientSession, address: str, query: Query, variables: Mapping[str, str]
) -> float | str | None:
    try:
        # Whatever the address holds, nothing but a query is asked.
        url = URL(address).joinpath("api", "v1", "query").with_query(query=fill(query.query, variables))
        answer = await fetch(session, url, TIMEOUT)
    except (NoAnswerError, ValueError) as error:
        return f"Prometheus at {address} gives {error}"
    try:
        return read_value(answer)
    except QueryError as error:
        return f"query {query.name}: {error}"


def fill(query: str, variables: Mapping[str, str]) -> str:
    """Put in the variables, which are written as `{{name}}`."""
    for name, value in variables.items():
        query = query.replace("{{" + name + "}}", value)
    return query


def read_value(answer: Answer) -> float | None:
    """Read the one value of an instant query: a scalar, or a vector with one series. Not a number is no data."""
    if len(answer.body) > LONGEST_ANSWER:
        raise QueryError(f"the answer has {len(answer.body)} bytes, expected one number")
    try:
        told = json.loads(answer.body)
        if told["status"] != "success":
            raise QueryError(str(told["error"])[:LONGEST_COMPLAINT])
        kind, result = told["data"]["resultType"], told["data"]["result"]
        if kind == "vector":
            if len(result) > 1:
                raise QueryError(f"{len(result)} series, expected one; aggregate them, for example with sum()")
            if not result:
                return None
            result = result[0]["value"]
        elif kind != "scalar":
            raise QueryError(f"the result is a {kind}, expected a scalar or a vector with one series")
        value = float(result[1])
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        raise QueryError(f"the answer is not that of Prometheus (status {answer.status})") from None
    return None if isnan(value) else value
