"""Running a command: what goes wrong becomes one line on stderr and an exit code."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

import typer.main

from ..errors import LTMError
from .commands import app
from .show import one_line

STOPPED = 130

_UsageError: Any = typer.BadParameter.__base__


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    _prepare()
    command = typer.main.get_command(app)
    try:
        code = command(list(arguments), prog_name="ltm", standalone_mode=False)
        sys.stdout.flush()
        return code or 0
    except _UsageError as error:
        return _complain(_wrong_call(error), 2)
    except LTMError as error:
        return _complain(str(error), 1)
    except typer.Abort:
        return STOPPED
    except BrokenPipeError:
        return _without_reader()
    except OSError as error:
        return _complain(f"{error.strerror or error}: {error.filename or 'a file'}. Correct that and run it again.", 1)
    except Exception as error:
        if os.environ.get("LTM_DEBUG"):
            raise
        return _complain(f"This is a bug: {error!r}. Please report it; with LTM_DEBUG=1 it shows where.", 1)


def _prepare() -> None:
    # A failed try is told by the command that waits for it, and by `ltm jobs`.
    logging.getLogger("ltm_core").addHandler(logging.NullHandler())
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _wrong_call(error: Any) -> str:
    said = error.format_message()
    ended = said if said.endswith((".", "?")) else f"{said}."
    return f"{ended} See: {error.ctx.command_path} --help" if error.ctx is not None else ended


def _complain(said: str, code: int) -> int:
    sys.stderr.write(f"ltm: {one_line(said)}\n")
    return code


def _without_reader() -> int:
    """Whoever read our output has gone (`ltm facts list | head`): nothing is to be said, at exit neither."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
