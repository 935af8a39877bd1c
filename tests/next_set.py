"""The tests that fail on the next set (Python 3.12, TensorFlow 2.20: `make test-next`), each with its reason.

An entry is a test's id from tests/ on. One that passes there is an error, since it belongs here no longer, and so is
one that names no test; so the list cannot outlive what it lists.
"""

import importlib.metadata
from collections.abc import Iterable, Sequence

import pytest

_CONTRAST = (
    'Model Garden 2.20 blends contrast with the mean of each channel; ours keeps the grey level that 2.15, and the '
    "papers' runs, blend with."
)
KNOWN = {
    'augment/test_color.py::test_pixels_are_model_gardens[Contrast]': _CONTRAST,
    'augment/test_color.py::test_contrast_on_a_large_image_is_model_gardens': _CONTRAST,
    **{
        f'augment/test_operations.py::test_colour_after_geometry_is_the_references_order[{before}-Contrast]': _CONTRAST
        for before in ('Rotate_BBox', 'ShearY_BBox', 'TranslateX_BBox')
    },
}


def is_next() -> bool:
    """Whether this is the next set's environment: a TensorFlow after 2.15."""
    major, minor = importlib.metadata.version('tensorflow').split('.')[:2]
    return (int(major), int(minor)) > (2, 15)


def mark(items: Iterable[pytest.Item], arguments: Sequence[str], known: dict[str, str] | None = None) -> None:
    """Marks the tests that are known to fail; one of them that passes becomes a failure.

    Args:
        items: everything collected, before any selection by name.
        arguments: what pytest was asked to collect; single tests of a file say nothing of its others.
        known: the list, if not the one above.

    Raises:
        UsageError: an entry names no test of a file that was collected whole.
    """
    known = KNOWN if known is None else known
    collected = {item.nodeid.removeprefix('tests/'): item for item in items}
    for name in known.keys() & collected.keys():
        collected[name].add_marker(pytest.mark.xfail(reason=known[name], strict=True))
    if any('::' in argument for argument in arguments):
        return
    seen = {name.partition('::')[0] for name in collected}
    stale = sorted(name for name in known.keys() - collected.keys() if name.partition('::')[0] in seen)
    if stale:
        raise pytest.UsageError(f'tests/next_set.py lists tests that are not there: {", ".join(stale)}')
