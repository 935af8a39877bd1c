"""The file in which a trial reports its metric to Vertex AI: one JSON object a line, the newest last."""

import json
import math
import os
import tempfile
from collections.abc import Mapping, Sequence

from official_rethink.common import errors

FILE_VARIABLE, TRIAL_VARIABLE = 'CLOUD_ML_HP_METRIC_FILE', 'CLOUD_ML_TRIAL_ID'
DEFAULT_FILE = os.path.join(tempfile.gettempdir(), 'hypertune', 'output.metrics')
# As many as the service's own reporter keeps.
_KEPT = 100


def report(metric: str, values: Sequence[tuple[int, float, float]], environment: Mapping[str, str]) -> str:
    """Writes a trial's measurements.

    Args:
        metric: the name in the tuning job's StudySpec.
        values: (step, value, seconds since 1970) in the order they were measured; the last 100 are kept.
        environment: says where the file is and which trial this is, such as os.environ.

    Returns:
        The file's path.

    Raises:
        UserError: there is nothing to report, a value is not finite, or the file cannot be written.
    """
    if not values:
        raise errors.UserError(f"this trial measured no '{metric}', so there is nothing to judge it by.")
    bad = [(step, value) for step, value, _ in values if not math.isfinite(value)]
    if bad:
        raise errors.bad_value(f"'{metric}' at step {bad[0][0]}", bad[0][1], 'a finite number')
    path = environment.get(FILE_VARIABLE) or DEFAULT_FILE
    trial = environment.get(TRIAL_VARIABLE, '0')
    # Numbers are texts in this file, except for the time.
    lines = [
        json.dumps(
            {'timestamp': when, 'trial': str(trial), metric: str(float(value)), 'global_step': str(step)},
            sort_keys=True,
        )
        for step, value, when in values[-_KEPT:]
    ]
    try:
        os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
        # In place: the service may have mounted the file itself, which no other can then be renamed to.
        with open(path, 'w', encoding='utf-8') as handle:
            handle.write('\n'.join(lines) + '\n')
    except OSError as error:
        raise errors.UserError(
            f"the measurements cannot be written to '{path}' ({FILE_VARIABLE}): {error.strerror}."
        ) from error
    return path
