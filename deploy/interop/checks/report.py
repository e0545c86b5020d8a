"""One line a check: `ok NAME (detail)` or `FAILED NAME: why`. run.sh counts the lines."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

WHY_LENGTH_MAX = 400
"""Longest reason that is shown, characters."""


class Failed(Exception):
    """What was checked is not so."""


def expect(truth: object, why: str) -> None:
    """Fails the check that is running, in these words, unless it is so."""
    if not truth:
        raise Failed(why)


def equal(found: object, expected: object, what: str) -> None:
    """Fails the check that is running unless both are the same."""
    expect(found == expected, f"{what}: expected {expected!r}, got {found!r}")


@contextmanager
def check(name: str) -> Iterator[list[str]]:
    """Runs a check; what is appended to the list is shown behind its name."""
    detail: list[str] = []
    try:
        yield detail
    except Failed as failed:
        _line(f"FAILED {name}: {str(failed)[:WHY_LENGTH_MAX]}")
    except Exception as error:  # noqa: BLE001 - a check that breaks is a check that failed
        where = traceback.extract_tb(error.__traceback__)[-1]
        why = f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"
        _line(f"FAILED {name}: {' '.join(why.split())[:WHY_LENGTH_MAX]}")
    else:
        _line(f"ok {name}" + (f" ({', '.join(detail)})" if detail else ""))


def _line(text: str) -> None:
    print(text, flush=True)
