"""Numbers as the study's files and its report put them."""

_NUMBERS = ('no', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten')


def points(value: float, sign: bool = False) -> str:
    """An AP or mIoU, or a difference of two, in points, one digit after the point."""
    text = f'{100 * value:{"+" if sign else ""}.1f}'
    text = text.replace('-0.0', '0.0').replace('+0.0', '0.0')
    return text.replace('-', '\N{MINUS SIGN}')


def times(value: float) -> str:
    """A ratio: '0.13×', '1.3×', '4×', '128×'."""
    if value >= 9.95:
        return f'{value:,.0f}×'
    digits = 1 if value >= 0.995 else 2
    return f'{value:.{digits}f}×'.replace('.0×', '×') if value >= 0.005 else f'{value:.1g}×'


def count(number: int, noun: str) -> str:
    """'one seed', 'two seeds', '12 seeds'."""
    word = _NUMBERS[number] if number < len(_NUMBERS) else str(number)
    return f'{word} {noun}{"" if number == 1 else "s"}'
