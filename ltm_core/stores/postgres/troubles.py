"""What PostgreSQL and its drivers complain of, as errors of ours."""

from __future__ import annotations

from ...errors import ConflictError, InvalidInput, LTMError, SchemaError, StoreError, StoreUnavailable

PASSING = ("40001", "40P01", "55P03")
_BEHIND_THE_WALL = "row-level security policy"
# By SQLSTATE, or its class: https://www.postgresql.org/docs/current/errcodes-appendix.html
_TROUBLES: tuple[tuple[tuple[str, ...], type[LTMError], str], ...] = (
    (PASSING, StoreUnavailable, "{place} is busy with others' changes ({error}). Retry."),
    (("28",), StoreUnavailable, "{place} refused the login ({error}). Check user and password in the URL."),
    (("3D",), StoreUnavailable, "{place} does not exist. Create it (createdb), or check the URL."),
    (("08", "57P", "53"), StoreUnavailable, "{place} cannot serve now ({error}). Check that it runs, then retry."),
    (("42501",), StoreError, "{place}: this role may not do that ({error}). Grant it, or use another role."),
    (("42704",), StoreError, "{place} lacks something ({error}). Create it there first."),
    (("22", "54"), InvalidInput, "PostgreSQL cannot hold a value ({error}). Shorten or clean it first."),
    (("42P01",), SchemaError, "{place} lacks tables ({error}). Create them with: ltm migrate URL"),
)


def translated(place: object, error: BaseException | None) -> LTMError:
    """An error of the driver as one of ours, with a remedy; `place` names the database."""
    state, said = state_of(error), _first_line(error)
    if state == "42501" and _BEHIND_THE_WALL in said:
        return ConflictError("A record belongs to another owner. Use ids made for this scope.")
    for states, kind, message in _TROUBLES:
        if state.startswith(states):
            return kind(message.format(place=place, error=said))
    if isinstance(error, OSError):
        return StoreUnavailable(f"{place} cannot be reached ({error}). Check that it runs, and the URL.")
    return StoreError(f"{place} refused: {said}. If it is sound, please report this.")


def state_of(error: BaseException | None) -> str:
    """The SQLSTATE of an error; empty where it has none."""
    return str(getattr(error, "sqlstate", None) or "")


def _first_line(error: BaseException | None) -> str:
    return str(error).partition("\n")[0]
