"""Where the time of a train step and of Augment-S4 goes: each part's CPU time, ours beside Model Garden's.

Run as `python -m benchmarks.parts [--write]`: prints tables; --write puts them into docs/speed.md. A part takes what
the work up to and with it takes, less the work before it, each the median of rounds taken in turn with the others.
"""

import argparse
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks import measure, pages
from official_rethink.common import entry_point

MARK = 'parts, written by python -m benchmarks.parts --write'
Works = Mapping[str, measure.Work]


def milliseconds(works: Works, per: int, rounds: int = 5) -> dict[str, float]:
    """Median CPU milliseconds a unit of several pieces of work, taken in turn; one round before is not counted."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            cost = measure.cost_of(work)
            if number:
                found[name].append(cost.cpu * 1e3 / per)
    return {name: statistics.median(values) for name, values in found.items()}


def differences(found: Mapping[str, float]) -> dict[str, float]:
    """What each piece of work takes over the one before it."""
    before, parts = 0.0, {}
    for name, value in found.items():
        parts[name], before = value - before, value
    return parts


def train_step(rounds: int) -> list[tuple[str, float, float]]:
    """Parts of a supervised step of EfficientNet-B0, milliseconds, ours and Model Garden's."""
    import tensorflow as tf  # noqa: PLC0415
    from official.vision.tasks import retinanet  # noqa: PLC0415

    from benchmarks import scenery  # noqa: PLC0415
    from benchmarks import train_step as steps  # noqa: PLC0415
    from official_rethink.tasks import detection  # noqa: PLC0415

    size, count, backbone = steps.SIZE, steps.BATCH, scenery.EFFICIENTNET_B0

    def works(task: Any, batch: Any, forward: Callable[..., Any], losses: Callable[..., tf.Tensor]) -> Works:
        model = task.build_model()
        variables = model.trainable_variables
        optimizer = tf.keras.optimizers.legacy.SGD(0.001, momentum=0.9)

        @tf.function
        def backward() -> Any:
            with tf.GradientTape() as tape:
                loss = losses(task, forward(task, batch, model), batch, model)
            return tape.gradient(loss, variables)

        return {
            'forward': tf.function(lambda: forward(task, batch, model)),
            'targets and losses': tf.function(lambda: losses(task, forward(task, batch, model), batch, model)),
            'backward': backward,
            'update': tf.function(lambda: task.train_step(batch, model, optimizer)[task.loss]),
        }

    def our_losses(task: Any, outputs: Any, batch: Any, model: Any) -> tf.Tensor:
        return task.losses_of(outputs, batch[1])['model_loss'] + tf.add_n(model.losses or [0.0])

    ours = works(
        detection.DetectionTask(scenery.our_task(size, backbone, count)),
        steps.our_batch(count),
        lambda task, batch, model: task.forward(batch[0], model, batch[1]),
        our_losses,
    )
    reference = works(
        retinanet.RetinaNetTask(scenery.model_garden_task(size, backbone)),
        steps.reference_batch(count),
        lambda task, batch, model: model(batch[0], training=True),
        lambda task, outputs, batch, model: task.build_losses(outputs, batch[1], aux_losses=model.losses)[0],
    )
    return _beside(ours, reference, 1, rounds)


def augment_s4(rounds: int, images: int = 40) -> list[tuple[str, float, float]]:
    """Parts of the input pipeline under Augment-S4, milliseconds an image, ours and Model Garden's."""
    from official.vision.dataloaders import tf_example_decoder  # noqa: PLC0415

    from benchmarks import input_pipeline as pipeline  # noqa: PLC0415
    from official_rethink.dataloaders import decoder  # noqa: PLC0415

    serialized = pipeline.record()

    def works(decode: Callable[[Any], Any], parser: Callable[[str], pipeline.Parse]) -> Works:
        parses = {
            'record and JPEG': lambda index, record: decode(record),
            'flip, resize, crop, labels (S1)': parser('S1'),
            'RandAugment (S4)': parser('S4'),
        }
        return {name: pipeline.take(pipeline.stream(parse, serialized), images) for name, parse in parses.items()}

    ours = works(decoder.RecordDecoder(False).decode, pipeline.ours)
    reference = works(tf_example_decoder.TfExampleDecoder().decode, pipeline.model_garden)
    return _beside(ours, reference, images, rounds)


def _beside(ours: Works, reference: Works, per: int, rounds: int) -> list[tuple[str, float, float]]:
    sides = {'ours': ours, 'reference': reference}
    both = {f'{side} {name}': work for side, works in sides.items() for name, work in works.items()}
    found = milliseconds(both, per, rounds)
    mine, theirs = (differences({name: found[f'{side} {name}'] for name in ours}) for side in sides)
    totals = [found[f'{side} {list(ours)[-1]}'] for side in sides]
    return [*((name, mine[name], theirs[name]) for name in ours), ('all', totals[0], totals[1])]


def table(title: str, rows: Sequence[tuple[str, float, float]]) -> str:
    """A table of the docs."""
    _, ours, theirs = rows[-1]
    cells = [
        (name, f'{mine:.1f}', f'{mine / ours:.0%}', f'{reference:.1f}', f'{reference / theirs:.0%}')
        for name, mine, reference in rows
    ]
    return pages.table((title, 'ours, ms', 'share', "Model Garden's, ms", 'share'), cells)


def main(argv: Sequence[str]) -> int:
    """Measures both."""
    parser = entry_point.Parser(prog='python -m benchmarks.parts', description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, default=5, help='measured rounds')
    parser.add_argument('--write', action='store_true', help='put the tables into docs/speed.md')
    arguments: argparse.Namespace = parser.parse_args(list(argv))
    tables = [
        table('Augment-S4, one image, CPU time', augment_s4(arguments.rounds)),
        table('supervised step, EfficientNet-B0, 256 pixels, batch 4, CPU time', train_step(arguments.rounds)),
    ]
    print('\n\n'.join(tables))
    if arguments.write:
        pages.put(pages.SPEED, MARK, '\n\n'.join(tables))
    return 0


if __name__ == '__main__':
    entry_point.run(main)
