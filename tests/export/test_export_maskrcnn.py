"""A two-stage detector exported by the command: masks, of images too, and key points; compared, and as a teacher."""

import json
import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from export import export_saved_model
from official_rethink.augment import pipeline
from official_rethink.common import errors
from official_rethink.data import shards
from official_rethink.evaluation import instance_masks
from official_rethink.pseudo_labels import teacher
from tests.tasks import maskrcnn_world as world

pytestmark = pytest.mark.slow
KEYPOINTS = {
    'include_keypoints': True,
    'keypoint_head': {'num_keypoints': 3, 'num_convs': 1, 'num_filters': 8},
    'keypoint_sampler': {'num_sampled_keypoints': 4},
    'keypoint_roi_aligner': {'crop_size': 7},
}
_MODELS: list[Any] = []  # the task and the network of the checkpoint


@pytest.fixture(scope='module')
def made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp('export_maskrcnn')
    _MODELS.append(world.make(folder, **KEYPOINTS))
    more = ('--verify_images=1',)
    override = '--params_override=task.export_config.output_image_masks=true'
    assert export_saved_model.main(world.arguments(folder, f'--export_dir={folder}/export', override, *more)) == 0
    return folder


def _json(path: pathlib.Path) -> Any:
    return json.loads(path.read_text())


def test_what_it_gives(made: pathlib.Path) -> None:
    """Images of two sizes in a batch: what the task predicts of each, and its masks in their own pixels."""
    task, model = _MODELS[0]
    first = next(shards.read(f'{made}/data/val*'))
    pixels = tf.io.decode_image(first.encoded, channels=3, expand_animations=False)
    images = [pixels, tf.image.transpose(pixels)[:40, :20]]
    loaded = tf.saved_model.load(str(made / 'export' / 'saved_model'))
    encoded = tf.stack([tf.io.encode_png(image) for image in images])
    found = {name: value.numpy() for name, value in loaded.signatures['image_bytes'](inputs=encoded).items()}
    assert found['detection_masks'].shape == (2, 10, 14, 14) and found['detection_masks'].dtype == np.float32
    # 32 x 48 and 40 x 20 in one batch: 40 x 48, 0 beyond each.
    assert found['detection_image_masks'].shape == (2, 10, 40, 48) and found['detection_image_masks'].dtype == np.uint8
    for row, image in enumerate(images):
        height, width = image.shape[:2]
        resized, info = pipeline.resize_and_pad(image, task.output_size)
        expected = task.predict(resized[tf.newaxis], info[tf.newaxis], model)
        count = int(expected['num_detections'][0])
        assert count == found['num_detections'][row] > 0
        for name in ('boxes', 'scores', 'masks', 'keypoints'):
            np.testing.assert_allclose(found[f'detection_{name}'][row], expected[name][0], atol=1e-3, err_msg=name)
        whole = found['detection_image_masks'][row]
        for place in range(count):
            own = instance_masks.paste_one(
                found['detection_masks'][row, place], found['detection_boxes'][row, place], height, width
            )
            assert (whole[place, :height, :width] != own).sum() <= 2
        assert not whole[count:].any() and not whole[:, height:].any() and not whole[:, :, width:].any()
    facts = loaded.signatures['metadata']()
    assert facts['gives_masks'].numpy() and facts['gives_image_masks'].numpy() and facts['gives_keypoints'].numpy()
    nothing = loaded.signatures['image_bytes'](inputs=tf.zeros([0], tf.string))
    assert nothing['detection_masks'].shape == [0, 10, 14, 14] and nothing['detection_image_masks'].shape[0] == 0


def test_what_is_said_of_it(made: pathlib.Path) -> None:
    report, about = _json(made / 'export' / 'verification.json'), _json(made / 'export' / 'export.json')
    assert report['passed'] and report['detections'] > 2
    assert report['tolerance']['mask_probability'] == 1e-3 and report['tolerance']['keypoint_pixels'] == 0.1
    for found in report['signatures'].values():
        assert found['max_mask_difference'] <= 1e-3
        assert found['image_mask_mismatches'] == found['keypoint_mismatches'] == 0
    assert about['masks'] == 'probabilities over each box' and 'image_masks' in about and 'keypoints' in about
    assert about['signatures']['image_bytes']['outputs']['detection_image_masks'] == 'uint8 [?, 10, ?, ?]'


def test_image_masks_without_masks(made: pathlib.Path, tmp_path: pathlib.Path) -> None:
    override = '--params_override=task.export_config.output_image_masks=true,task.model.include_mask=false'
    with pytest.raises(errors.UserError, match='output_image_masks is True .*include_mask is False .*none to give out'):
        export_saved_model.main(world.arguments(made, f'--export_dir={tmp_path}/out', override))


def test_is_a_teacher_with_masks(made: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """As pseudo_label uses it, fed with images already resized; one that gives no masks is refused."""
    task, model = _MODELS[0]
    strategy, folder = tf.distribute.get_strategy(), str(made / 'export' / 'saved_model')
    loaded = teacher.SavedModel(folder, task.output_size, False, strategy, further=('masks', 'keypoints'))
    for images, labels in task.build_inputs(task.task_config.validation_data).take(1):
        expected = task.predict(images, labels['image_info'], model)
        ours = loaded.predict(images, labels['image_info'])
    assert int(tf.reduce_sum(ours['num_detections'])) > 4
    for name in ('boxes', 'scores', 'classes', 'masks', 'keypoints'):
        np.testing.assert_allclose(ours[name], expected[name], atol=1e-3, err_msg=name)
    without = teacher.SavedModel(folder, task.output_size, False, strategy)
    assert 'masks' not in without.predict(images, labels['image_info'])
    _without_masks(tf.saved_model.load(folder), tmp_path / 'bare')
    with pytest.raises(errors.UserError, match='gives no detection_masks, but task.model.include_mask is true'):
        teacher.SavedModel(str(tmp_path / 'bare'), (32, 32), False, strategy, further=('masks',))


def _without_masks(saved: Any, folder: pathlib.Path) -> None:
    """The same SavedModel, but for the masks."""
    signature = saved.signatures['image_tensor']

    class Bare(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])
        def serve(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            return {name: value for name, value in signature(inputs=inputs).items() if 'masks' not in name}

    bare = Bare()
    bare.saved = saved
    tf.saved_model.save(bare, str(folder), signatures={'serving_default': bare.serve})
