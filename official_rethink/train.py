r"""Steps 2 and 4, teacher and student: train or evaluate an experiment with Model Garden's train library.

Example:
    python -m official_rethink.train --experiment=retinanet_efficientnet_coco \
        --config_file=configs/quick/retinanet.yaml --mode=train_and_eval --model_dir=runs/teacher
"""

import os
import sys
from collections.abc import Sequence
from typing import Any

from official_rethink.common import cluster, entry_point, errors

_SHOWN = (
    *('experiment', 'config_file', 'params_override', 'mode', 'model_dir'),
    *('checkpoint', 'eval_output', 'tpu'),
)


def _parse_flags(argv: Sequence[str]) -> Any:
    from absl import flags
    from official.common import flags as model_garden_flags

    if 'model_dir' not in flags.FLAGS:
        model_garden_flags.define_flags()
        flags.DEFINE_string(
            'checkpoint', '', "With --mode=eval: a checkpoint folder or prefix; default <model_dir>'s newest."
        )
        flags.DEFINE_string(
            'eval_output', '', 'With --mode=eval: the JSON to write; default <model_dir>/eval.json.'
        )
    if {'--help', '-h', '-help'} & set(argv):
        print(__doc__)
        # Model Garden's train library defines most of them, so `main_module_help` would leave them out.
        for name in _SHOWN:
            flag = flags.FLAGS[name]
            print(f'  --{name}: {flag.help}')
        return None
    flags.FLAGS.unparse_flags()  # a second call in one process would add its files to the first one's
    try:
        rest = flags.FLAGS(['train', *argv])
    except flags.Error as error:
        raise errors.UserError(str(error)) from error
    if len(rest) > 1:
        raise errors.UserError(f'unexpected argument {rest[1]!r}; settings are given as --name=value.')
    if not flags.FLAGS.model_dir:
        flags.FLAGS.model_dir = cluster.default_folder(os.environ)  # a managed job's
    for name in ('experiment', 'mode', 'model_dir'):
        if not getattr(flags.FLAGS, name):
            raise errors.UserError(f'--{name} is missing; see python -m official_rethink.train --help.')
    return flags.FLAGS


def main(argv: Sequence[str]) -> int:
    """Runs one training or evaluation; see --help."""
    flags = _parse_flags(argv)
    if flags is None:
        return 0
    from official_rethink import registry_imports  # noqa: F401
    from official_rethink.configs import normalization, parse, schedule, validation, validation_data
    from official_rethink.pseudo_labels import manifest
    from official_rethink.tasks import run_folder, runner

    loaded = parse.load(flags.experiment, flags.config_file or (), flags.params_override or '')
    params, placed = cluster.apply(loaded.params, loaded.is_set)
    machines = cluster.read(os.environ)
    says = sys.stderr.write if machines is None or machines.is_chief else _nothing
    if placed:
        says(f'note: {placed}\n')
    if flags.tpu:
        params = params.replace(runtime=params.runtime.replace(tpu=flags.tpu))
    cluster.check_strategy(machines, params.runtime.distribution_strategy)
    validation_data.validate_data(params, loaded.sources)
    manifest.check_student(params)
    categories = _categories(params.task.validation_data.input_path)
    model_dir = flags.model_dir.rstrip('/')
    runner.prepare_process(params)
    if flags.mode == 'eval':
        return _evaluate(flags, params, categories, loaded.sources)
    for remark in schedule.remarks(params):
        says(f'note: {remark}\n')
    with run_folder.locked(model_dir, machines):
        run_folder.check_params(params, model_dir)
        if machines and machines.num_workers > 1:
            minutes = runner.COMES_WITHIN // 60
            says(f'note: the {machines.num_workers} machines wait for each other, up to {minutes} minutes\n')
        strategy = runner.build_strategy(params)
        validation.validate_runtime(params, strategy.num_replicas_in_sync, loaded.sources)
        for remark in normalization.remarks(params.task.model, strategy.num_replicas_in_sync):
            says(f'note: {remark}\n')
        runner.open_folder(params, strategy, model_dir)
        result = runner.run(params, strategy, flags.mode, model_dir, categories)
    if result and says is not _nothing:
        sys.stdout.write(f"best checkpoint (step {result['step']}) on {result['data']}:\n")
        _print_metrics(result['metrics'])
    return 0


def _nothing(text: str) -> int:
    """What a worker that is not the chief says."""
    return len(text)


def _evaluate(flags: Any, params: Any, categories: dict[int, str] | None, sources: Any) -> int:
    """Measures one checkpoint."""
    from official_rethink.configs import validation
    from official_rethink.tasks import crew, evaluate, runner

    strategy = runner.build_strategy(params)
    validation.validate_runtime(params, strategy.num_replicas_in_sync, sources)
    model_dir = flags.model_dir.rstrip('/')
    task = runner.build_task(params, strategy, model_dir)
    task.categories = categories
    with strategy.scope():
        model = task.build_model()
    output = flags.eval_output or os.path.join(model_dir, 'eval.json')
    checkpoint, data = flags.checkpoint or model_dir, params.task.validation_data
    together = crew.Crew(strategy)
    with together.watched():
        measured = evaluate.evaluate_checkpoint(strategy, task, model, checkpoint, data, output)
        together.leave()
    if together.is_chief:
        sys.stdout.write(f'{_measured_words(measured)}; {output}:\n')
        _print_metrics(measured['metrics'])
    return 0


def _categories(input_path: str) -> dict[int, str] | None:
    from official_rethink.data import shards

    try:
        description = shards.load_description(input_path)
    except errors.UserError:
        return None  # shards of another writer; their classes keep their numbers
    return {category['id']: category['name'] for category in description['categories']}


def _measured_words(measured: dict[str, Any]) -> str:
    """What was measured, on what, and in how many views of each image."""
    words = f"checkpoint {measured['checkpoint']} (step {measured['step']}) on {measured['data']}"
    inference = measured.get('inference', {})
    scales, flip = inference.get('scales', [1.0]), inference.get('flip', False)
    if list(scales) == [1.0] and not flip:
        return words
    sizes = ', '.join(f'{scale:g}' for scale in scales)
    return f"{words}, each image at {sizes} of its size{' and mirrored' if flip else ''}"


def _print_metrics(metrics: dict[str, float]) -> None:
    for name, value in metrics.items():
        sys.stdout.write(f'  {name:<12} {value:.4f}\n')


if __name__ == '__main__':
    entry_point.run(main)
