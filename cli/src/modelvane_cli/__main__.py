"""Runs the command line. Whatever goes wrong, the user gets a sentence and an exit code, never a traceback."""

import io
import os
import signal
import sys
import warnings
from pathlib import Path

from modelvane_cli.exits import Exit, StopError


def main() -> None:
    """Run `modelvane`, or `kubectl modelvane`."""
    sys.exit(run())


def run() -> int:
    """Run the command that the arguments name and return its exit code."""
    from modelvane_cli.app import app  # noqa: PLC0415 - an interruption of the import is answered like any other

    settle()
    program = "kubectl modelvane" if Path(sys.argv[0]).name.startswith("kubectl-") else "modelvane"
    try:
        app(prog_name=program)
        sys.stdout.flush()
    except SystemExit as ended:
        # Typer, too, ends at a pipe that is closed, and calls it a failure.
        return _flush(Exit.OK if isinstance(ended.__context__, BrokenPipeError) else ended.code)
    except StopError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        _give_up_output()
    except Exception as error:
        if os.environ.get("MODELVANE_DEBUG"):
            raise
        said = " ".join(str(error).split())[:300]
        print(
            f"Error: something that modelvane did not expect: {type(error).__name__}: {said}. Please report it, with "
            "what MODELVANE_DEBUG=1 shows.",
            file=sys.stderr,
        )
        return Exit.FAILED
    return Exit.OK


def settle() -> None:
    """Make the process behave as a tool does."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # A terminal that knows only ASCII is no reason to fail.
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # Those of libraries, which the user can do nothing about.
    # So that what was started, such as a port-forward, is ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def _flush(code: object) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _give_up_output()  # And not the verdict that the code is.
    return code if isinstance(code, int) else Exit.OK if code is None else Exit.FAILED


def _give_up_output() -> None:
    """Take it as it is that the reader of the pipe has seen enough, as `head` has."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
