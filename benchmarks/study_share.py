"""How much of the quick study's time goes into train steps: one seed of it, one step at a time."""

import glob
import json
import os
import subprocess
import sys
import tempfile
from typing import Any

from benchmarks import measure

TARGET = 0.85
_CONFIG = 'configs/study/quick.yaml'


def seconds(folder: str) -> tuple[float, float]:
    """Wall seconds in train windows, and of all steps of a study, from what they left behind.

    Args:
        folder: a study's, finished.
    """
    training, whole = 0.0, 0.0
    for done in glob.glob(os.path.join(folder, '**', 'done.json'), recursive=True):
        with open(done, encoding='utf-8') as handle:
            whole += json.load(handle)['seconds']
        cost = os.path.join(os.path.dirname(done), 'cost.json')
        if os.path.exists(cost):
            with open(cost, encoding='utf-8') as handle:
                training += json.load(handle)['seconds']
    return training, whole


def run() -> list[dict[str, Any]]:
    """Runs the study with its first seed alone."""
    with tempfile.TemporaryDirectory() as folder:
        config = os.path.join(folder, 'quick.yaml')
        with open(_CONFIG, encoding='utf-8') as handle:
            text = handle.read()
        with open(config, 'w', encoding='utf-8') as handle:
            handle.write(text.replace('seeds: [0, 1, 2, 3]', 'seeds: [0]'))
        output = os.path.join(folder, 'study')
        command = [sys.executable, '-m', 'official_rethink.study', f'--config_file={config}', f'--output_dir={output}']
        cost = measure.cost_of(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
        training, steps = seconds(output)
    note = f'{_CONFIG} with one seed; {steps:.0f} s in the processes of its steps'
    found = measure.quantity(cost.wall, training, 'wall')
    return [measure.row('quick study, train steps of it', found, target=TARGET, unit='s', note=note)]
