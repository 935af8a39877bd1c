"""What is wrong with a data set: each problem names file, record and field; many are told at once."""

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from official_rethink.common import errors, files
from official_rethink.data import records

ON_ERROR = ('stop', 'skip')
MAX_REPORTED = 20


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing that cannot be right.

    Attributes:
        kind: in two or three words, for counting, e.g. 'zero-area box'.
        file: the annotation or image file.
        record: the entry in it, e.g. 'annotation 17 (image 4)'; '' if the file as a whole is meant.
        field: the key of the entry, e.g. 'bbox'; '' if the entry as a whole is meant.
        message: what was found and what is allowed.
    """

    kind: str
    file: str
    record: str
    field: str
    message: str

    def __str__(self) -> str:
        field = f"field '{self.field}'" if self.field else ''
        where = ', '.join(part for part in (self.record, field) if part)
        return f'{self.file}: {where}: {self.message}' if where else f'{self.file}: {self.message}'


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number that can be worked with; true, false, NaN and infinity are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e15 < value < 1e15


def short(value: Any) -> str:
    """Returns a value's text, cut to one line."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + '...'


class Made(NamedTuple):
    """What one work item became: a record, or None; and what was wrong with it."""

    record: records.Record | None
    problems: Sequence[Problem] = ()


class ProblemList:
    """Collects problems; with `on_error` 'stop' it raises once it holds `MAX_REPORTED` of them."""

    def __init__(self, on_error: str = 'stop'):
        """Args: 'stop' (tell the first twenty together and stop) or 'skip' (leave out, count, list)."""
        if on_error not in ON_ERROR:
            raise errors.unknown_name('on_error', on_error, ON_ERROR, where='--on_error')
        self.on_error = on_error
        self.problems: list[Problem] = []

    def add(self, *found: Problem) -> None:
        """Takes in what was found.

        Raises:
            UserError: 'stop', and there are enough problems to tell.
        """
        self.problems += found
        if self.on_error == 'stop' and len(self.problems) >= MAX_REPORTED:
            self.check()

    def check(self) -> None:
        """Raises UserError that tells the problems so far, unless they are skipped."""
        if self.on_error == 'skip' or not self.problems:
            return
        shown = self.problems[:MAX_REPORTED]
        count = f'{len(shown)} problem{"s" if len(shown) > 1 else ""}'
        if len(shown) == MAX_REPORTED:
            count = f'the first {MAX_REPORTED} problems'
        lines = '\n'.join(f'  {problem}' for problem in shown)
        raise errors.UserError(
            f'the data cannot be used as it is; {count}:\n{lines}\n'
            'Mend them, or leave such records out, counted and listed, with --on_error=skip.'
        )

    def counts(self) -> dict[str, int]:
        """How many problems there are of each kind, the most frequent first."""
        return dict(Counter(problem.kind for problem in self.problems).most_common())

    def write(self, path: str) -> None:
        """Writes one JSON object a line: kind, file, record, field, message."""
        lines = (json.dumps(dataclasses.asdict(problem)) for problem in self.problems)
        files.write_text(path, ''.join(line + '\n' for line in lines))
