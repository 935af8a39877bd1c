"""One form for a user's mistake: what, the value, what is allowed, where it was set, the nearest name."""

import difflib
from collections.abc import Iterable
from typing import Any


class UserError(ValueError):
    """A mistake the user can mend; entry points print its text alone, without a traceback."""


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Returns the allowed name closest in spelling to `name`, whatever the case, or '' if none is close."""
    by_lower = {str(item).lower(): str(item) for item in allowed}
    matches = difflib.get_close_matches(str(name).lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[matches[0]] if matches else ''


def bad_value(what: str, value: Any, allowed: str, where: str = '') -> UserError:
    """Builds the error for a value out of its range or of the wrong type.

    Args:
        what: the name of the field, flag or record, as the user wrote it.
        value: what was found there.
        allowed: in words, what would have been accepted.
        where: the file, flag or factory that set it; '' if there is only one place.
    """
    origin = f' (set in {where})' if where else ''
    return UserError(f'{what} is {value!r}{origin}; allowed: {allowed}.')


def unknown_name(what: str, name: Any, allowed: Iterable[str], where: str = '') -> UserError:
    """Builds the error for a name that is not in a closed set, with the nearest one that is."""
    choices = sorted(str(item) for item in allowed)
    origin = f' (set in {where})' if where else ''
    guess = nearest(str(name), choices)
    hint = f" Did you mean '{guess}'?" if guess else ''
    return UserError(f"unknown {what} '{name}'{origin}.{hint} Allowed: {', '.join(choices) or 'none'}.")
