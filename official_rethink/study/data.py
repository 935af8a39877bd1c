"""A study's data sets: where they lie, and the steps that draw the built-in ones."""

import dataclasses
import os
import re
from collections.abc import Mapping
from typing import Any

from official_rethink.configs import study as study_config
from official_rethink.configs import study_data, study_validation
from official_rethink.study.steps import Step

_TARGET = ('labelled', 'unlabelled', 'validation', 'test')
# Classes of the built-in images with one object each, and of the further objects in alignment scenes.
_OTHER_CLASSES = 10


@dataclasses.dataclass(frozen=True)
class Data:
    """Where a study's data lie, once prepared.

    Attributes:
        labelled: shard pattern; so the other three. `test` is never empty.
        unlabelled: '' if no arm needs it.
        validation: see there.
        test: see there.
        truth: the unlabelled shards carry labels to measure pseudo labels by.
        num_classes: largest class id plus one.
        needs: for each set, the steps that prepare it.
        classification: shard pattern of images with one class each; '' if no arm needs it, as the next three.
        classification_validation: see there.
        alignment: shard pattern of images with boxes of other classes.
        alignment_validation: see there.
        other_classes: largest class id of 'classification' and 'alignment'.
    """

    labelled: str
    unlabelled: str
    validation: str
    test: str
    truth: bool
    num_classes: int
    needs: dict[str, tuple[str, ...]]
    classification: str = ''
    classification_validation: str = ''
    alignment: str = ''
    alignment_validation: str = ''
    other_classes: dict[str, int] = dataclasses.field(default_factory=dict)

    def inputs(self, *sets: str) -> tuple[str, ...]:
        """Patterns of the named sets that no step of the study makes, with their descriptions."""
        found: list[str] = []
        for name in sets:
            pattern = getattr(self, name)
            if pattern and not self.needs.get(name):
                folder = os.path.dirname(pattern)
                split = re.split(r'[-*?]', os.path.basename(pattern))[0]
                found += [pattern, os.path.join(folder, f'{split}.json')]
        return tuple(found)

    def steps(self, *sets: str) -> tuple[str, ...]:
        """Names of the steps that prepare the named sets."""
        return tuple(step for name in sets for step in self.needs.get(name, ()))


def _kind(name: str, aligned: bool, target: str) -> str:
    """The kind of scenes a set is of, as `prepare scenes --kind` names it; `target` is that of what is learnt."""
    if name.startswith('classification'):
        return 'classification'
    if name.startswith('alignment'):
        return 'mixed_other'
    return 'mixed' if name == 'unlabelled' and aligned else target


# Streams of the same kind of scenes never share a seed; the alignment set has the unlabelled images.
_STREAM = {
    **{name: index for index, name in enumerate(_TARGET)},
    'classification': 0,
    'classification_validation': 2,
    'alignment': _TARGET.index('unlabelled'),
    'alignment_validation': 2,
}


def scene_steps(config: study_config.StudyConfig) -> tuple[list[Step], Data]:
    """The steps that draw the built-in scenes, and where they put them."""
    scenes = config.data.scenes
    extra = study_validation.needed_sets(config)
    names = [*_TARGET, *extra]
    if not any(arm.self_training for arm in config.arms):
        names.remove('unlabelled')
    counts = {name: getattr(scenes, f'num_{name}', 0) for name in names}
    counts |= {'alignment': scenes.num_unlabelled, 'alignment_validation': scenes.num_validation}
    aligned, target = 'alignment' in extra, config.kind().scenes
    steps = [_scene_step(scenes, name, counts[name], _kind(name, aligned, target)) for name in names]
    made = (*_TARGET, *extra)
    patterns = {name: f'{{out}}/data/{name}/{name}-*.tfrecord' for name in made}
    data = Data(
        **patterns,
        truth=True,
        num_classes=scenes.num_classes + 1,
        needs={name: (f'data/{name}',) for name in made},
        other_classes=dict.fromkeys(('classification', 'alignment'), _OTHER_CLASSES),
    )
    return steps, data


def _scene_step(scenes: study_data.ScenesConfig, name: str, count: int, kind: str) -> Step:
    arguments = {
        'output_dir': f'{{out}}/data/{name}',
        'split': name,
        'num_images': count,
        'seed': scenes.seed * len(_TARGET) + _STREAM[name],
        'size': scenes.size,
        'difficulty': scenes.difficulty,
        'num_classes': _OTHER_CLASSES if kind == 'classification' else scenes.num_classes,
    }
    if kind != 'detection':
        arguments['kind'] = kind
    return Step(
        name=f'data/{name}',
        kind='scenes',
        module='official_rethink.prepare',
        arguments=('scenes', *(f'--{key}={value}' for key, value in arguments.items())),
        products=(f'{name}.json', f'{name}-*.tfrecord'),
        total=count,
        unit='images',
    )


def own_data(config: study_config.StudyConfig, num_classes: int, other_classes: Mapping[str, int]) -> Data:
    """Where the user's own shards lie."""
    data = config.data
    extra: dict[str, Any] = {name: getattr(data, name) for name in study_validation.needed_sets(config)}
    return Data(
        labelled=data.labelled,
        unlabelled=data.unlabelled,
        validation=data.validation,
        test=data.test or data.validation,
        truth=data.unlabelled_truth,
        num_classes=num_classes,
        needs={},
        **extra,
        other_classes=dict(other_classes),
    )


def split(data: Data, arm: study_config.ArmConfig, seed: int) -> tuple[str, Step | None]:
    """Path of the file that says which labels an arm learns from, and the step that makes it; '' for all labels."""
    if arm.label_count:
        kind, value, folder = 'count', str(arm.label_count), 'count'
    elif arm.label_fraction != 1:
        kind, value, folder = 'fraction', repr(float(arm.label_fraction)), 'labels'
    else:
        return '', None
    # A part's images do not depend on which others are asked for, so each has its own step.
    name = f'splits/{folder}{value}-seed{seed}'
    step = Step(
        name=name,
        kind='split',
        module='official_rethink.prepare',
        arguments=(
            'split',
            f'--input={data.labelled}',
            f'--{kind}s={value}',
            f'--seed={seed}',
            f'--output_dir={{out}}/{name}',
        ),
        needs=data.steps('labelled'),
        inputs=data.inputs('labelled'),
        products=(f'splits/{kind}_*.json',),
        total=1,
        unit=kind,
    )
    return f'{{out}}/{name}/splits/{kind}_{value}_seed_{seed}.json', step
