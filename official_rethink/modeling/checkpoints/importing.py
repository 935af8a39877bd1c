"""Turns a published checkpoint into one of ours: every tensor accounted for in both directions, or nothing.

Order of events: recognise, match names, read and check every value, fold the input scale, write. Each step
collects all it has to object to before it stops, and only the last one touches the disk.
"""

import dataclasses
import os
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

import official_rethink
from official_rethink.common import errors, files
from official_rethink.modeling import conversion
from official_rethink.modeling.checkpoints import formats, layout, readers, sources

_LISTED = 8
_FORMAT_VERSION = 1


@dataclasses.dataclass
class Imported:
    """A published checkpoint in live models.

    Attributes:
        modules: the models, with the original's values in them.
        report: what `<output>.json` says.
    """

    modules: dict[str, tf.keras.Model]
    report: dict[str, Any]


def _listed(names: Sequence[str]) -> str:
    more = f' and {len(names) - _LISTED} more' if len(names) > _LISTED else ''
    return ', '.join(names[:_LISTED]) + more


def _recognise(found: layout.Layout, opened: sources.Opened, model: str) -> str:
    """Returns the model's id; `model` is what the user says it is, or ''."""
    if model and model not in found.models():
        raise errors.unknown_name('model', model, found.models(), where=f'--model, with --format={found.format}')
    recognised = found.recognise(opened.source.shapes)
    if model and recognised != model:
        raise errors.UserError(
            f"'{opened.path}' holds a {recognised}, and --model says {model}; leave --model out, or name another file."
        )
    return recognised


def _match(
    takes: Mapping[str, layout.Take], variables: Mapping[str, Any], names: set[str], left_out: Mapping[str, str]
) -> list[str]:
    """Returns what is wrong with the names, in both directions."""
    assert set(takes) == set(variables), sorted(set(takes) ^ set(variables))[:_LISTED]
    used = {name for take in takes.values() for name in (take.source, *take.others)}
    assert not used & set(left_out), sorted(used & set(left_out))[:_LISTED]
    problems = []
    if missing := sorted(used - names):
        problems.append(f'{len(missing)} tensors that the model needs are missing from it: {_listed(missing)}')
    if extra := sorted(names - used - set(left_out)):
        problems.append(f'{len(extra)} of its tensors have no place in the model: {_listed(extra)}')
    return problems


def _values(
    takes: Mapping[str, layout.Take], variables: Mapping[str, tf.Variable], source: readers.Source
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Reads and transforms every value; returns them and what is wrong with them."""
    values, shapes, unreadable, not_finite = {}, [], [], []
    for path, take in takes.items():
        names = (take.source, *take.others)
        try:
            arrays = [source.read(name) for name in names]
        except errors.UserError as error:
            unreadable.append(str(error))
            continue
        if not all(np.isfinite(array).all() for array in arrays):
            not_finite.append(take.source)
            continue
        try:
            value = take.transform(*arrays) if take.transform else arrays[0]
        except errors.UserError as error:  # a transform that knows what values there may be
            unreadable.append(str(error))
            continue
        except (ValueError, IndexError):  # numpy's, for a number of axes the transform cannot take
            value = arrays[0]
        if list(value.shape) != variables[path].shape.as_list():
            found, wanted = list(value.shape), variables[path].shape.as_list()
            shapes.append(f'{take.source}: {found} in the file, {wanted} in the model')
            continue
        values[path] = value
    problems = []
    if shapes:
        problems.append(f'{len(shapes)} shapes differ: {_listed(shapes)}')
    if not_finite:
        problems.append(f'{len(not_finite)} tensors hold NaN or infinity: {_listed(not_finite)}')
    if unreadable:
        problems.append(f'{len(unreadable)} tensors cannot be read: {_listed(unreadable)}')
    return values, problems


def fold(original: layout.Preprocessing, kernel: np.ndarray, moving_mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Makes a first convolution and its batch norm take the pipeline's input instead of the original's.

    With z the pipeline's value, the original's input is (z * std + mean - offset) / scale, so the kernel is
    multiplied by std / scale; the constant rest leaves the convolution as one number a channel, which the
    batch norm subtracts with its mean.
    """
    ratio = np.asarray(layout.PIPELINE.scale) / original.scale
    shift = (np.asarray(layout.PIPELINE.offset) - original.offset) / original.scale
    wide = kernel.astype(np.float64)
    constant = np.einsum('hwic,i->c', wide, shift)
    return wide * ratio[:, np.newaxis], moving_mean - constant


def _fold_input_scale(
    found: layout.Layout, model: str, modules: Mapping[str, Any], values: dict[str, np.ndarray]
) -> dict[str, Any]:
    """Folds in place; returns what the report says about the input."""
    original = found.preprocessing
    said: dict[str, Any] = {'offset': list(original.offset), 'scale': list(original.scale), 'folded': False}
    if original.equals(layout.PIPELINE):
        return said
    stem = found.stem(model, modules)
    if stem is None:
        raise errors.UserError(
            f'the weights expect (x - {list(original.offset)}) / {list(original.scale)} as input, which the pipeline '
            f'does not give, and {model} has no place to fold that into.'
        )
    values[stem.kernel], values[stem.moving_mean] = fold(original, values[stem.kernel], values[stem.moving_mean])
    return {**said, 'folded': True, 'exact_at_border': stem.pads_zero_point}


def _report(
    found: layout.Layout, model: str, opened: sources.Opened, matched: Mapping[str, Any], left_out: Mapping[str, str]
) -> dict[str, Any]:
    reasons: dict[str, list[str]] = {}
    for name, reason in sorted(left_out.items()):
        reasons.setdefault(reason, []).append(name)
    return {
        'format_version': _FORMAT_VERSION,
        'source': os.path.basename(opened.path.rstrip('/')),
        'sha256': opened.sha256,
        'format': found.format,
        'kind': opened.source.kind,
        'model': model,
        'matched': len(matched),
        'missing': 0,
        'extra': 0,
        'left_out': [{'reason': reason, 'count': len(names), 'names': names} for reason, names in reasons.items()],
        'settings': dict(found.settings(model)),
        'code_version': official_rethink.__version__,
    }


def read(
    format_name: str, source: str, model: str = '', moving_average: str = 'auto', member: str = ''
) -> Imported:
    """Reads a published checkpoint into live models; writes nothing.

    Args:
        format_name: which layout; see `formats.py`.
        source: the path of the checkpoint.
        model: what the user says it holds; '' to take it from names and shapes.
        moving_average: see `sources.opened`.
        member: see `sources.opened`.

    Raises:
        UserError: anything that is wrong, all of a kind at once.
    """
    found = formats.find(format_name)
    conversion.leave_keras_alone()
    with sources.opened(source, moving_average, member) as opened:
        model = _recognise(found, opened, model)
        modules = found.build(model)
        variables = layout.paths(modules)
        takes = found.takes(model, modules)
        names = set(opened.source.shapes)
        left_out = found.left_out(model, sorted(names))
        problems = _match(takes, variables, names, left_out)
        values: dict[str, np.ndarray] = {}
        if not problems:
            values, problems = _values(takes, variables, opened.source)
        if problems:
            raise errors.UserError(f"'{source}' does not fit {model}: " + '; '.join(problems) + '. Nothing written.')
        report = _report(found, model, opened, takes, {**opened.source.bookkeeping, **left_out})
    report['preprocessing'] = _fold_input_scale(found, model, modules, values)
    for path, variable in variables.items():
        variable.assign(values[path].astype(variable.dtype.as_numpy_dtype))
    report['modules'] = sorted(modules)
    report['parameters'] = sum(int(np.prod(variable.shape)) for variable in variables.values())
    return Imported(modules, report)


def write(imported: Imported, output: str) -> list[str]:
    """Writes `<output>.index`, its data and `<output>.json`; the index last, so half a checkpoint is none.

    Returns:
        The files' paths.
    """
    gfile, folder = tf.io.gfile, os.path.dirname(output) or '.'
    gfile.makedirs(folder)
    temporary = os.path.join(folder, f'.{os.path.basename(output)}.{uuid.uuid4().hex[:8]}.tmp')
    gfile.makedirs(temporary)
    try:
        inner = os.path.join(temporary, 'checkpoint')
        tf.train.Checkpoint(**imported.modules).write(inner)
        files.write_json(inner + '.json', imported.report)
        endings = sorted(name.removeprefix('checkpoint') for name in gfile.listdir(temporary) if name[-1] != '/')
        endings.sort(key=lambda ending: ending == '.index')
        if gfile.exists(output + '.index'):
            gfile.remove(output + '.index')
        for ending in endings:
            gfile.rename(inner + ending, output + ending, overwrite=True)
    finally:
        gfile.rmtree(temporary)
    return [output + ending for ending in endings]


def import_checkpoint(
    format_name: str,
    source: str,
    output: str,
    model: str = '',
    moving_average: str = 'auto',
    member: str = '',
) -> dict[str, Any]:
    """Reads a published checkpoint and writes it as one that `task.init_checkpoint` takes.

    Returns:
        What `<output>.json` says.
    """
    if not output or output.endswith('/') or tf.io.gfile.isdir(output):
        raise errors.bad_value(
            '--output', output, 'the checkpoint to write, such as checkpoints/efficientnet-b7, not a folder'
        )
    imported = read(format_name, source, model, moving_average, member)
    write(imported, output)
    return imported.report
