"""What the teacher is, by its files; and a SavedModel in the place of a checkpoint's model."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import yaml

from official_rethink.common import errors, files
from official_rethink.data import shards
from official_rethink.modeling import restore

_SAVED_MODEL = 'saved_model.pb'
_OUTPUTS = ('detection_boxes', 'detection_scores', 'detection_classes', 'num_detections')
_FURTHER = {'masks': 'detection_masks', 'keypoints': 'detection_keypoints'}
_FIELDS = {'masks': 'include_mask', 'keypoints': 'include_keypoints'}
_DEFAULT = 'serving_default'
# How far the scale of an image that is resized already may be from 1.
_SAME_SIZE = 1e-3


@dataclasses.dataclass(frozen=True)
class Teacher:
    """The files that hold a teacher.

    Attributes:
        path: the checkpoint's prefix, or the SavedModel's folder.
        is_saved_model: which of the two.
        files: name to SHA-256 of each file with weights or graph.
    """

    path: str
    is_saved_model: bool
    files: dict[str, str]

    @property
    def name(self) -> str:
        """The checkpoint's or folder's own name."""
        return os.path.basename(self.path.rstrip('/'))

    @property
    def digest(self) -> str:
        """SHA-256 over all files; the names do not count, for best/ckpt-7 may be a copy of ckpt-700."""
        return files.hash_of([self.files[name] for name in sorted(self.files)])


def find(path: str) -> Teacher:
    """Finds and hashes a teacher.

    Args:
        path: a folder with checkpoints, a checkpoint's prefix, a SavedModel's folder or the one above it.

    Raises:
        UserError: none of these is there.
    """
    if not path:
        raise errors.UserError("--checkpoint is ''; name a folder of checkpoints, a prefix, or a SavedModel.")
    for folder in (path, os.path.join(path, 'saved_model')):
        if tf.io.gfile.exists(os.path.join(folder, _SAVED_MODEL)):
            found = tf.io.gfile.glob(os.path.join(folder, 'variables', '*'))
            paths = [os.path.join(folder, _SAVED_MODEL), *found]
            return Teacher(folder, True, _hashes(folder, paths))
    prefix = restore.find_checkpoint(path)
    paths = [f'{prefix}.index', *tf.io.gfile.glob(f'{prefix}.data-*')]
    return Teacher(prefix, False, _hashes(os.path.dirname(prefix), paths))


def _hashes(folder: str, paths: list[str]) -> dict[str, str]:
    return {path[len(folder) :].lstrip('/'): files.file_hash(path) for path in sorted(paths)}


def known(params: Any) -> dict[str, Any]:
    """Class list of the teacher's data, how many boxes an image of it has, and its key points, None if it has none.

    Args:
        params: the experiment's config.

    Raises:
        UserError: neither training nor validation data is described.
    """
    tried = []
    for part in ('train_data', 'validation_data'):
        path = getattr(params.task, part).input_path
        try:
            description = shards.load_description(path)
        except errors.UserError as error:
            tried.append(f'task.{part}: {error}')
            continue
        rate = description['num_instances'] / description['num_images']
        return {'categories': description['categories'], 'boxes': rate, 'keypoints': description.get('keypoints')}
    raise errors.UserError(
        "the names of the teacher's classes are not known, for the data it was trained on is not there. Name "
        'the shards with --params_override=task.train_data.input_path=... (' + ' '.join(tried) + ')'
    )


def gives_shares(path: str) -> bool | None:
    """Whether a SavedModel's boxes are shares of the image, by its exporter's params.yaml; None: unknown."""
    for folder in (path, os.path.dirname(path.rstrip('/'))):
        params = os.path.join(folder, 'params.yaml')
        if not tf.io.gfile.exists(params):
            continue
        with tf.io.gfile.GFile(params, 'r') as handle:
            content = yaml.safe_load(handle.read())
        export = (content or {}).get('task', {}).get('export_config', {})
        if 'output_normalized_coordinates' in export:
            return bool(export['output_normalized_coordinates'])
    return None


class SavedModel:
    """Detects with a SavedModel's image tensor signature, as Model Garden's exporter writes it.

    It is fed images already resized to the network's size, so that its own resize changes nothing and images
    of all sizes go in one batch.
    """

    def __init__(
        self,
        path: str,
        output_size: tuple[int, int],
        normalized: bool,
        strategy: tf.distribute.Strategy,
        further: Sequence[str] = (),
    ):
        """Loads it.

        Args:
            path: its folder.
            output_size: the network's input height and width by the config.
            normalized: its boxes are shares of the image (export_config.output_normalized_coordinates).
            strategy: that it is run by.
            further: what is wanted of it beside boxes: 'masks', 'keypoints'.

        Raises:
            UserError: it cannot be loaded, has no such signature, or is of another size.
        """
        self._further = tuple(further)
        self._path = path
        self._size = output_size
        self._normalized = normalized
        try:
            with strategy.scope():
                self._loaded = tf.saved_model.load(path)
        except (OSError, tf.errors.OpError, ValueError) as error:
            text = f"'{path}' is no SavedModel that can be loaded: {_first_line(error)}"
            raise errors.UserError(text) from error
        self._signature, self._input, self.batch_size = self._find_signature()
        self._check_outputs(strategy)

    def _find_signature(self) -> tuple[Any, str, int | None]:
        """Returns the signature of uint8 images, its input's name, and its batch size if that is fixed."""
        signatures = dict(self._loaded.signatures)
        takes = {}
        for name in sorted(signatures, key=lambda name: name != _DEFAULT):
            inputs = signatures[name].structured_input_signature[1]
            takes[name] = [f'{spec.dtype.name} {spec.shape}' for spec in inputs.values()]
            if len(inputs) != 1:
                continue
            ((argument, spec),) = inputs.items()
            if spec.dtype == tf.uint8 and spec.shape.rank == 4:
                return signatures[name], argument, spec.shape[0]
        told = '; '.join(f'{name} takes {", ".join(kinds)}' for name, kinds in takes.items()) or 'none at all'
        raise errors.UserError(
            f"the SavedModel '{self._path}' has no signature that takes uint8 images [B, H, W, 3] (there: "
            f'{told}); export it with the input type image_tensor.'
        )

    def _check_outputs(self, strategy: tf.distribute.Strategy) -> None:
        given = self._signature.structured_outputs
        for name in self._further:
            if _FURTHER[name] not in given:
                raise errors.UserError(
                    f"the SavedModel '{self._path}' gives no {_FURTHER[name]}, but task.model.{_FIELDS[name]} is true; "
                    'export a network that has them, or set it to false.'
                )
        missing = sorted(set(_OUTPUTS) - set(given))
        if missing:
            raise errors.UserError(
                f"the SavedModel '{self._path}' does not give {', '.join(missing)}; it was exported without "
                'NMS, or for another task.'
            )
        images = tf.zeros([self.batch_size or 1, *self._size, 3], tf.uint8)
        try:
            found = strategy.run(tf.function(lambda: self._signature(**{self._input: images})))
        except tf.errors.OpError as error:
            raise errors.UserError(
                f"the SavedModel '{self._path}' does not run on images of the config's size "
                f'{list(self._size)}: {_first_line(error)}'
            ) from error
        if 'image_info' not in found:
            return
        info = strategy.experimental_local_results(found['image_info'])[0].numpy()
        resized = [int(side) for side in info[0, 1]]
        if resized != list(self._size):
            raise errors.UserError(
                f"the SavedModel '{self._path}' resizes to {resized}, but "
                f'task.model.input_size is {list(self._size)}; give the --config_file it was trained with.'
            )
        if abs(float(info[0, 2].min()) - 1.0) > _SAME_SIZE:
            raise errors.UserError(
                f"the SavedModel '{self._path}' resizes images by their shorter side (task.resizing), so images that "
                'are resized already would be resized again; label with the checkpoint it was exported from.'
            )

    def predict(self, images: tf.Tensor, image_info: tf.Tensor) -> dict[str, tf.Tensor]:
        """As the task's `predict`: boxes in pixels of the original images."""
        found = self._signature(**{self._input: images})
        boxes = tf.cast(found['detection_boxes'], tf.float32)
        if self._normalized:
            boxes *= tf.constant([*self._size, *self._size], tf.float32)
        scale = tf.tile(image_info[:, tf.newaxis, 2, :], [1, 1, 2])
        limit = tf.tile(image_info[:, tf.newaxis, 0, :], [1, 1, 2])
        further = {name: tf.cast(found[_FURTHER[name]], tf.float32) for name in self._further}
        if 'keypoints' in further:
            places, scores = tf.split(further['keypoints'], [2, 1], axis=-1)
            places *= tf.constant(self._size if self._normalized else (1, 1), tf.float32)
            places /= image_info[:, tf.newaxis, tf.newaxis, 2, :]
            further['keypoints'] = tf.concat([places, scores], axis=-1)
        return {
            **further,
            'boxes': tf.clip_by_value(boxes / scale, 0.0, limit),
            'scores': tf.cast(found['detection_scores'], tf.float32),
            'classes': tf.cast(found['detection_classes'], tf.int32),
            'num_detections': tf.cast(found['num_detections'], tf.int32),
        }


class SavedModelTask:
    """What an evaluation asks of a task, answered by a SavedModel."""

    def __init__(self, task: Any, saved_model: SavedModel):
        """Args: the task, for inputs and metrics; the SavedModel, for detections."""
        self._saved_model = saved_model
        self.build_inputs = task.build_inputs
        self.aggregate_logs = task.aggregate_logs
        self.reduce_aggregated_logs = task.reduce_aggregated_logs

    def validation_step(self, inputs: Any, model: Any = None) -> dict[str, Any]:
        """Detects on a batch; there is no loss, for a SavedModel gives no raw outputs."""
        del model
        images, labels = inputs
        found = self._saved_model.predict(images, labels['image_info'])
        return {'detections': {**found, 'truth': labels['groundtruths']}}


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
