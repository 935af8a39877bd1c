"""Names of an arm's folders: arms that train alike have the same, all others different ones."""

import hashlib
import os
import re

from official_rethink.configs import study as study_config
from official_rethink.study import settings


def of(arm: study_config.ArmConfig, default_steps: int, grid: str = '') -> str:
    """What tells one supervised model or teacher from another.

    Args:
        arm: the arm.
        default_steps: the budget's for supervised arms; such a length is not named.
        grid: name of the search that is carried to it; '' for none.
    """
    joint = '-joint' if arm.joint else ''
    # No name has a plus sign, so no two arms come to the same.
    network = f'{arm.network}+' if arm.network else ''
    length = f'-steps{arm.steps}' if arm.steps not in (0, default_steps) else ''
    other = f'-with_{settings.slug(arm.params_override)}' if settings.read(arm.params_override) else ''
    tuned = f'+tuned_{grid}' if grid else ''
    return f'{network}{_start(arm)}-{arm.augmentation}-{labels(arm)}{joint}{length}{other}{tuned}'


def _start(arm: study_config.ArmConfig) -> str:
    if arm.pretraining:
        return f'pretraining_{arm.pretraining}'
    start = arm.initialization
    if start == study_config.RANDOM:
        return start
    modules = ','.join(arm.initialization_modules)
    digest = hashlib.sha256(f'{start} {modules}'.encode()).hexdigest()[:6]
    return re.sub(r'[^A-Za-z0-9.]+', '_', os.path.basename(start.rstrip('/')))[:24] + '_' + digest


def labels(arm: study_config.ArmConfig) -> str:
    """Which labels: 'labels0.5', or 'count1000'."""
    return f'count{arm.label_count}' if arm.label_count else f'labels{number(arm.label_fraction)}'


def number(value: float) -> str:
    """A number as names have it, with a point."""
    return f'{value:g}' if value != int(value) else f'{value:.1f}'
