"""How much of the quick study's time goes into train steps, two commands side by side as `make study` has them.

A tenth of its steps are trained, and their time is counted ten times. All else is as at full length: the data, every
process's start and tracing, as many evaluations, the labelling, the report.
"""

import glob
import json
import os
import statistics
import subprocess
import sys
import tempfile
from typing import Any

import yaml

from benchmarks import measure
from official_rethink.tasks import run_log

TARGET = 0.85
SHORTER, JOBS = 10, 2
_CONFIG = 'configs/study/quick.yaml'


def shortened(config: dict[str, Any]) -> dict[str, Any]:
    """The study with a tenth of its steps, evaluated as often."""
    budget = {name: value // SHORTER for name, value in config['budget'].items()}
    # So early a teacher is not sure of anything.
    arms = [{**arm, **({'score_threshold': 0.05} if arm.get('self_training') else {})} for arm in config['arms']]
    return {**config, 'budget': budget, 'arms': arms}


def training_seconds(folder: str) -> tuple[float, float]:
    """Seconds in a study's train windows, from the logs of its runs.

    Args:
        folder: a study's, finished.

    Returns:
        Seconds in the steps themselves, of all runs, and in tracing and compiling them: what the first window of a run
        took over the median of the others.
    """
    steps, tracing = 0.0, 0.0
    for path in glob.glob(os.path.join(folder, '**', run_log.METRICS), recursive=True):
        with open(path, encoding='utf-8') as handle:
            entries = [json.loads(line) for line in handle]
        first, *others = [entry['metrics']['seconds'] for entry in entries if entry['kind'] == 'train']
        usual = min(first, statistics.median(others))
        steps += usual + sum(others)
        tracing += first - usual
    return steps, tracing


def run() -> list[dict[str, Any]]:
    """Runs the shortened study."""
    with open(_CONFIG, encoding='utf-8') as handle:
        config = shortened(yaml.safe_load(handle))
    with tempfile.TemporaryDirectory() as folder:
        path, output = os.path.join(folder, 'quick.yaml'), os.path.join(folder, 'study')
        with open(path, 'w', encoding='utf-8') as handle:
            yaml.safe_dump(config, handle)
        command = [sys.executable, '-m', 'official_rethink.study', f'--config_file={path}', f'--output_dir={output}']
        command.append(f'--jobs={JOBS}')
        cost = measure.cost_of(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
        steps, tracing = training_seconds(output)
    rest = JOBS * cost.wall - steps
    training = SHORTER * steps
    note = (
        f'{_CONFIG}, {JOBS} commands side by side, whose seconds are added: {training:.0f} s in train steps ({SHORTER} '
        f'times {steps:.0f} s), {rest:.0f} s in all else, of which {tracing:.0f} s until a run has its first steps'
    )
    found = measure.quantity(training + rest, training, 'wall')
    return [measure.row('quick study, train steps of it', found, target=TARGET, unit='s', note=note)]
