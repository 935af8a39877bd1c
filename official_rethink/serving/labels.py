"""The names of the classes a detector tells apart, as files that travel with it."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from official_rethink.common import errors, files
from official_rethink.data import shards

BACKGROUND, UNUSED = 'background', '???'
_PARTS = ('train_data', 'validation_data', 'test_data')


def find(task: Any, path: str = '') -> dict[int, str]:
    """Finds the names.

    Args:
        task: the task's config, whose data sets' descriptions name the classes.
        path: a data set description or an export's labels.json, to take instead.

    Returns:
        Class id to name.

    Raises:
        UserError: nothing names the classes, or their ids do not fit the model.
    """
    named, where = _from_file(path) if path else _from_data(task)
    most = task.model.num_classes - 1
    for class_id, name in named.items():
        if not 1 <= class_id <= most:
            raise errors.UserError(
                f"{where} has the class {class_id} '{name}', but task.model.num_classes is "
                f'{task.model.num_classes}: ids 1 to {most}. The model was trained with other labels.'
            )
        if not name.strip() or '\n' in name:
            raise errors.bad_value(f'the name of class {class_id}', name, 'one line of text', where)
    return dict(sorted(named.items()))


def _from_data(task: Any) -> tuple[dict[int, str], str]:
    tried = []
    for part in _PARTS:
        pattern = getattr(task, part).input_path
        try:
            description = shards.load_description(pattern)
        except errors.UserError as error:
            tried.append(f'task.{part}: {error}')
            continue
        if description['categories']:
            named = {category['id']: category['name'] for category in description['categories']}
            return named, f"'{pattern}'"
        tried.append(f"task.{part}: '{pattern}' is unlabelled.")
    raise errors.UserError(
        'the names of the classes are not known, for the data of the config is not there. Give a data set '
        'description or labels.json with --labels. ' + ' '.join(tried)
    )


def _from_file(path: str) -> tuple[dict[int, str], str]:
    content = files.read_json(path)
    try:
        if 'categories' in content and 'format_version' in content:
            named = {int(category['id']): str(category['name']) for category in content['categories']}
        else:
            named = {int(class_id): str(name) for class_id, name in content.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _not_labels(path) from error
    if not named:
        raise _not_labels(path)
    return named, f"'{path}'"


def _not_labels(path: str) -> errors.UserError:
    return errors.UserError(
        f"'{path}' (set in --labels) names no classes; allowed: a data set description as `prepare` writes "
        'it, or {"1": "cat", "2": "dog"}.'
    )


def by_id(named: Mapping[int, str], num_classes: int) -> list[str]:
    """Lists the names with a class's id as its index; 0 is the background, ids without a class are '???'."""
    return [BACKGROUND, *(named.get(class_id, UNUSED) for class_id in range(1, num_classes))]


def write(named: Mapping[int, str], class_names: Sequence[str], folder: str) -> dict[str, str]:
    """Writes labels.txt (line i, from 0, is class i) and labels.json (id to name); returns their paths."""
    names = {'labels_txt': 'labels.txt', 'labels_json': 'labels.json'}
    paths = {attribute: os.path.join(folder, name) for attribute, name in names.items()}
    files.write_text(paths['labels_txt'], '\n'.join(class_names) + '\n')
    text = json.dumps({str(class_id): name for class_id, name in named.items()}, indent=2, ensure_ascii=False)
    files.write_text(paths['labels_json'], text + '\n')
    return paths
