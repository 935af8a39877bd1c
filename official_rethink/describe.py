"""Entry point: prints what an experiment resolves to, and what its model costs."""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from official_rethink.common import entry_point, errors

_EPILOG = """examples:
  python -m official_rethink.describe --list
  python -m official_rethink.describe --experiment=retinanet_spinenet_coco
  python -m official_rethink.describe --experiment=retinanet_efficientnet_coco \\
      --config_file=configs/zoph2020/table2_rand_init_s1.yaml \\
      --params_override=task.train_data.global_batch_size=64 --json

FLOPs are multiply-adds of convolutions and matrix products, for one image."""

# Units of the values whose name does not say it already; by the last parts of the key.
_UNITS = {
    'global_batch_size': 'examples a step',
    'base_batch_size': 'examples a step',
    'base_train_steps': 'steps',
    'train_steps': 'steps',
    'train_epochs': 'passes over the labelled set',
    'train_examples': 'images',
    'base_warmup_steps': 'steps',
    'warmup_steps': 'steps',
    'base_decay_steps': 'steps',
    'images_per_class': 'a class',
    'decay_steps': 'steps',
    'validation_interval': 'steps',
    'checkpoint_interval': 'steps',
    'summary_interval': 'steps',
    'steps_per_loop': 'steps',
    'abort_after_empty_steps': 'steps',
    'stepwise_boundaries': 'shares of the length',
    'base_drops_before_end': 'steps',
    'base_steps_before_end': 'steps',
    'first_step': '',
    'evaluations': 'a run',
    'input_size': 'pixels, pixels, channels',
    'anchor_size': 'strides of its level',
    'scale_min': 'of the output size',
    'scale_max': 'of the output size',
    'decay': '',
    'balance.decay': 'per step',
    'shuffle_buffer_size': 'examples',
    'max_num_instances': 'an image',
    'max_num_detections': 'an image',
    'max_to_keep': 'checkpoints',
    'continuous_eval_timeout': 'seconds',
}


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    args = _parse_args(argv)
    from official_rethink.configs import parse  # noqa: PLC0415  TensorFlow; --help needs none of it

    if args.list:
        _print_list(parse.experiments(), args.json)
        return 0
    loaded = parse.load(args.experiment, args.config_file, args.params_override)
    report = _report(args.experiment, loaded, parse.load(args.experiment))
    if not args.json:
        print(_settings_text(report), flush=True)  # the model takes longer
    report.update(_model_report(loaded.params))
    print(json.dumps(report, indent=2) if args.json else _model_text(report))
    return 0


def _parse_args(argv: Sequence[str]) -> argparse.Namespace:
    parser = entry_point.Parser(
        prog='python -m official_rethink.describe', description=__doc__.split(': ', 1)[1], epilog=_EPILOG
    )
    parser.add_argument('--experiment', default='', help='name of a registered experiment')
    parser.add_argument(
        '--config_file', action='append', default=[], help='YAML laid over the experiment; may be repeated'
    )
    parser.add_argument('--params_override', default='', help='a.b=c,d=[e,f] or a YAML file, applied last')
    parser.add_argument('--json', action='store_true', help='for machines')
    parser.add_argument('--list', action='store_true', help='list the experiments')
    args = parser.parse_args(argv)
    if not args.experiment and not args.list:
        raise errors.UserError('--experiment is missing; --list shows the names.')
    return args


def _print_list(experiments: dict[str, str], as_json: bool) -> None:
    if as_json:
        print(json.dumps(experiments, indent=2))
        return
    width = max(map(len, experiments))
    for name, line in experiments.items():
        print(f'{name:{width}}  {line}')


def unit(key: str) -> str:
    """The unit of a config value, '' if it has none or its name says it."""
    parts = key.split('.')
    for start in range(len(parts)):
        known = _UNITS.get('.'.join(parts[start:]))
        if known is not None:
            return known
    return ''


def _report(experiment: str, loaded: Any, base: Any) -> dict[str, Any]:
    """What differs from the experiment as its factory makes it, and the resolved schedule."""
    from official_rethink.configs import checks, parse, schedule, schedule_table  # noqa: PLC0415

    values, defaults = ({key: value for key, value, _ in checks.walk(item.params)} for item in (loaded, base))
    differs = {
        key: {
            'value': value,
            'default': defaults.get(key),
            'unit': unit(key),
            'set_in': loaded.sources.get(key, parse.FACTORY),
        }
        for key, value in values.items()
        if key not in defaults or defaults[key] != value
    }
    return {
        'experiment': experiment,
        'description': parse.experiments()[experiment],
        'differs_from_defaults': differs,
        'schedule': _schedule(loaded.params),
        'remarks': schedule.remarks(loaded.params),
        'schedules': [dataclasses.asdict(row) for row in schedule_table.rows(loaded.params)],
    }


def _schedule(params: Any) -> dict[str, Any]:
    trainer, data = params.trainer, params.task.train_data
    rate, warmup = trainer.optimizer_config.learning_rate, trainer.optimizer_config.warmup
    examples = trainer.schedule.train_examples
    schedule = {
        'steps': trainer.train_steps,
        'human_batch_size': data.global_batch_size,
        'epochs': round(trainer.train_steps * data.global_batch_size / examples, 2),
        'train_examples': examples,
        'validation_interval': trainer.validation_interval,
        'learning_rate': rate.as_dict(),
        'warmup': warmup.as_dict(),
    }
    if hasattr(params.task, 'pseudo_data'):
        schedule['pseudo_batch_size'] = params.task.pseudo_data.global_batch_size
    if hasattr(params.task, 'cascade'):
        schedule['cascade_from_step'] = params.task.cascade.first_step
    if hasattr(params.task, 'classification_data'):
        schedule['classified_batch_size'] = params.task.classification_data.global_batch_size
    return schedule


def _model_report(params: Any) -> dict[str, Any]:
    from absl import logging  # noqa: PLC0415
    from official.core import task_factory  # noqa: PLC0415

    from official_rethink import registry_imports  # noqa: F401, PLC0415
    from official_rethink.modeling import accounting  # noqa: PLC0415

    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)  # Model Garden warns of SpineNet's unused level 2
    try:
        task = task_factory.get_task(params.task)
        with accounting.outlines():
            model = task.build_model()
            forward = task.counted(model) if hasattr(task, 'counted') else None
            cost = accounting.count(model, params.task.model.input_size, forward)
    finally:
        logging.set_verbosity(before)
    return {
        'input_size': list(params.task.model.input_size),
        'parameters': cost.parameters,
        'parameters_total': cost.parameters_total,
        'parameters_of_release': _parameters_of_release(params.task, cost.parameters),
        'flops': cost.flops,
        'flops_unit': 'multiply-adds of convolutions and matrix products, one image, one forward pass',
    }


def _parameters_of_release(task: Any, parameters: int) -> dict[str, int]:
    from official_rethink.configs import segmentation as configs  # noqa: PLC0415
    from official_rethink.modeling import segmentation  # noqa: PLC0415

    if not isinstance(task, configs.SegmentationTask):
        return {}
    return segmentation.parameters_of_release(task.model, parameters)


def _settings_text(report: dict[str, Any]) -> str:
    from official_rethink.configs import parse, schedule_table  # noqa: PLC0415

    lines = [f'{report["experiment"]}: {report["description"]}', '']
    rows = [
        (key, _shown(entry['value'], entry['unit']), f'default {_shown(entry["default"])}', entry['set_in'])
        for key, entry in report['differs_from_defaults'].items()
        # What follows from the schedule stands under Schedule.
        if entry['set_in'] != parse.DERIVED
    ]
    lines.append('Differs from the defaults' if rows else 'Nothing differs from the defaults')
    lines += _table(rows)
    remarks = [f'  note: {remark}' for remark in report['remarks']]
    table = schedule_table.lines([schedule_table.Row(**row) for row in report.get('schedules', ())])
    table = ['', *table] if table else []
    return '\n'.join([*lines, '', 'Schedule', *_schedule_lines(report['schedule']), *remarks, *table, ''])


def _shown(value: Any, unit_name: str = '') -> str:
    text = json.dumps(value) if not isinstance(value, str) else value or "''"
    return f'{text} {unit_name}'.rstrip()


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        '  ' + '  '.join(f'{cell:{width}}' for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _schedule_lines(schedule: dict[str, Any]) -> list[str]:
    batch = f'{schedule["human_batch_size"]} labelled'
    if 'pseudo_batch_size' in schedule:
        batch += f' + {schedule["pseudo_batch_size"]} pseudo-labelled'
    if 'classified_batch_size' in schedule:
        batch += f' (and {schedule["classified_batch_size"]} to classify)'
    kind = schedule['learning_rate']['type']
    fields = schedule['learning_rate'][kind]
    lines = [
        f'  {schedule["steps"]:,} steps of {batch} images: {schedule["epochs"]:,} passes over the '
        f'{schedule["train_examples"]:,} labelled images',
        f'  evaluated every {schedule["validation_interval"]:,} steps',
    ]
    if kind == 'stepwise':
        rates = ', '.join(
            f'{value:.4g} from step {step:,}'
            for step, value in zip([0, *fields['boundaries']], fields['values'], strict=True)
        )
        lines.append(f'  learning rate {rates}')
    else:
        rate = fields.get('learning_rate', fields.get('initial_learning_rate'))
        lines.append(f'  learning rate {rate if rate is None else format(rate, ".4g")}, {kind}')
    if schedule['warmup']['type']:
        kind = schedule['warmup']['type']
        warmup = schedule['warmup'][kind]
        start = f' from {warmup["warmup_learning_rate"]:.4g}' if 'warmup_learning_rate' in warmup else ''
        lines.append(f'  {kind} warm-up{start} over the first {warmup["warmup_steps"]:,} steps')
    if schedule.get('cascade_from_step'):
        lines.append(f'  the cascade\'s further stages train from step {schedule["cascade_from_step"]:,}')
    return lines


def _model_text(report: dict[str, Any]) -> str:
    height, width, channels = report['input_size']
    release = report.get('parameters_of_release')
    return '\n'.join(
        [
            f'Model, {height} x {width} x {channels}',
            f'  {report["parameters"]:,} trainable parameters ({report["parameters"] / 1e6:.2f}M), '
            f'{report["parameters_total"]:,} with running statistics',
            *(_release_lines(release) if release else ()),
            f'  {report["flops"]:,} FLOPs ({report["flops"] / 1e9:.1f}B; {report["flops_unit"]})',
        ]
    )


def _release_lines(release: dict[str, int]) -> list[str]:
    convolution, classes = (f'{value:,} ({value / 1e6:.2f}M)' for value in release.values())
    return [
        f'  {convolution} as the release builds it, with the 1x1 convolution behind the backbone, which nothing uses;',
        f'  {classes} as it counts it, with the unused layer of 1000 classes too',
    ]


if __name__ == '__main__':
    entry_point.run(main)
