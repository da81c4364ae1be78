"""How a command ends when it cannot do what was asked: one sentence and an exit code. Pure."""

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes, one a cause, so that a pipeline need not read sentences. docs/cli.md has the table."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_MET = 3
    NOT_FOUND = 4
    UNREACHABLE = 5
    NOT_ALLOWED = 6
    NO_ANSWER = 7
    INTERRUPTED = 130


class StopError(Exception):
    """The command ends here. The message says what is wrong and what to do."""

    def __init__(self, code: Exit, message: str) -> None:
        super().__init__(message)
        self.code = code
