"""Tables that benchmarks write into the docs, each between two marks."""

import os
from collections.abc import Iterable, Sequence

from official_rethink.common import errors, files

SPEED = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'docs', 'speed.md')


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table.

    Args:
        heads: of the columns.
        rows: a cell a column.
    """
    lines = [f'| {" | ".join(cells)} |' for cells in (heads, *rows)]
    return '\n'.join([lines[0], '|' + '---|' * len(heads), *lines[1:]])


def put(page: str, mark: str, text: str) -> None:
    """Replaces what stands between a mark and its end.

    Args:
        page: path of a Markdown file.
        mark: the words of the comment `<!-- mark -->`; `<!-- end of it -->` is its end.
        text: what is to stand there.

    Raises:
        UserError: the page has no such mark, or no end behind it.
    """
    begin, end = f'<!-- {mark} -->', '<!-- end of it -->'
    with open(page, encoding='utf-8') as handle:
        before, marked, rest = handle.read().partition(begin)
    _, ended, after = rest.partition(end)
    if not marked or not ended:
        raise errors.UserError(f"'{page}' has no line '{begin if not marked else end}' to put the table under.")
    files.write_text(page, f'{before}{begin}\n\n{text}\n\n{end}{after}')
