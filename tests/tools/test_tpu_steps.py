"""Every family's steps, training, evaluation and labelling, lower to XLA as one replica of several.

They hold nothing of the host's. Tiny networks of the families' own kinds; `make tpu-check` compiles the papers' sizes.
XLA's lowering refuses shapes that are not static and operations that it does not know; nothing is compiled to machine
code here.
"""

import pytest
import tensorflow as tf
from official.core import config_definitions as cfg
from official.modeling import optimization
from tensorflow.python.framework import config

from official_rethink.configs import classification, types
from official_rethink.losses import contrastive
from tests.tasks import small, small_joint, small_maskrcnn, small_segmentation, small_simclr
from tools.tpu_check import lower, operations, replica, report, steps

REPLICAS = 2
# The suppression of the papers' experiments; the tests' own takes 'batched', which no TPU has.
NMS = {'detection_generator': {'nms_version': 'v2', 'pre_nms_top_k': 20, 'max_num_detections': 5}}
SOFT_NMS = {'detection_generator': {'nms_version': 'v1', 'soft_nms_sigma': 0.3, 'pre_nms_top_k': 20}}
# Masks and key points at once.
TWO_STAGE = {
    'include_mask': True,
    'include_keypoints': True,
    'num_classes': 2,
    'keypoint_head': {'num_keypoints': 3, 'num_convs': 1, 'num_filters': 8, 'upsample_factor': 2},
    'keypoint_roi_aligner': {'crop_size': 4},
}


def _detector(made, **model):
    made.override({'model': {**NMS, **model}})
    return made


def _two_stage():
    return _detector(small_maskrcnn.params('keypointrcnn_resnetfpn_gn_coco'), **TWO_STAGE)


def _classifier():
    made = classification.ClassificationTask()
    backbone = {'type': 'resnet', 'resnet': {'model_id': 10, 'depth_multiplier': 0.25}}
    made.override({'model': {'num_classes': 3, 'input_size': [16, 16, 3], 'backbone': backbone}})
    made.train_data.global_batch_size = 4
    return made


def _segmenter():
    made = small_segmentation.params(small.SELF_TRAINING)
    made.override({'validation_data': {'groundtruth_padded_size': [48, 40]}})
    return made


# A student's step holds the supervised one; its labelling and evaluation are the supervised task's.
FAMILIES = {
    'retinanet': lambda: _detector(small.small_params(small.SELF_TRAINING)),
    'soft_nms': lambda: _detector(small.small_params(), **SOFT_NMS),
    'joint': lambda: _detector(small_joint.params()),
    'two_stage': _two_stage,
    'segmentation': _segmenter,
    'classification': _classifier,
    'simclr': small_simclr.params,
}
# tests/tasks/test_maskrcnn.py compiles the two-stage train step.
CASES = [
    *((name, steps.TRAIN) for name in ('retinanet', 'joint', 'segmentation', 'classification', 'simclr')),
    *((name, steps.LABEL) for name in ('two_stage', 'segmentation')),
    *((name, steps.EVALUATE) for name in ('retinanet', 'classification')),
]


def _trainer():
    values = {
        'optimizer': {'type': 'sgd', 'sgd': {'momentum': 0.9, 'global_clipnorm': 1.0}},
        'learning_rate': {'type': 'cosine', 'cosine': {'initial_learning_rate': 0.1, 'decay_steps': 10}},
        'warmup': {'type': 'linear', 'linear': {'warmup_steps': 2, 'warmup_learning_rate': 0.0}},
        'ema': {'average_decay': 0.9},
    }
    return types.TrainerConfig(optimizer_config=optimization.OptimizationConfig(values))


@pytest.fixture(autouse=True)
def as_on_a_tpu():
    """There TensorFlow's op determinism is off, which a command that ran in this process before may have put on."""
    config.disable_op_determinism()


@pytest.mark.parametrize(('family', 'mode'), CASES)
def test_lowers_to_xla(family, mode, tmp_path):
    traced, task = _traced(family, mode, tmp_path)
    assert operations.host_only(traced.concrete.graph) == []
    hlo = lower.lowered(traced)
    # Gradients are summed over the replicas, a detector's positives also in evaluation; labelling is each one's own.
    if mode != steps.EVALUATE:
        assert (b'all-reduce' in hlo) == (mode == steps.TRAIN)
    # Of a student's joint batch a replica's share of both parts; of a joint task the images to classify come first.
    share = {'simclr': 4, 'retinanet': 4, 'segmentation': 4}
    assert traced.specs[0].shape[0] == (share.get(family, 2) if mode == steps.TRAIN else 2)


def _traced(family, mode, tmp_path):
    task = FAMILIES[family]()
    task.validation_data.global_batch_size = 2 * REPLICAS
    params = cfg.ExperimentConfig(task=task, trainer=_trainer())
    lower.place_inputs(params, lower.empty_set(str(tmp_path), task))
    return lower.trace(params, family, mode, replica.ReplicaOfMany(REPLICAS)), task


def test_what_has_no_lowering_is_named_with_its_place(tmp_path):
    """Soft-NMS, which Model Garden takes from an operation that XLA does not know."""
    traced, _ = _traced('soft_nms', steps.LABEL, tmp_path)
    with pytest.raises(ValueError, match='NonMaxSuppressionV5') as raised:
        lower.lowered(traced)
    places = operations.places(traced.concrete.graph)
    (problem,) = report.problems({'lowered': {'host_only': [], 'error': str(raised.value), 'places': places}})
    assert "NonMaxSuppressionV5 '" in problem and 'official_rethink/modeling/detections.py:' in problem


def test_replicas_add_up():
    """Of N replicas the sum is XLA's all-reduce, the mean a share of it, and the id is not known while tracing."""
    strategy = replica.ReplicaOfMany(4)

    def one(value):
        context = tf.distribute.get_replica_context()
        assert context.num_replicas_in_sync == 4
        assert tf.get_static_value(context.replica_id_in_sync_group) is None
        gathered = context.all_gather(value, axis=0)
        assert gathered.shape == [12]
        return context.all_reduce('SUM', value), context.all_reduce('MEAN', value), gathered

    function = tf.function(lambda value: strategy.run(one, (value,)), jit_compile=True, autograph=False)
    text = function.experimental_get_compiler_ir(tf.TensorSpec([3], tf.float32))(stage='hlo')
    assert text.count(' all-reduce(') == 3
    assert 'constant(0.25)' in text and 'replica-id()' in text
    with pytest.raises(ValueError, match='replicas is 1; at least 2'):
        replica.ReplicaOfMany(1)


def test_what_only_a_host_runs_is_found():
    @tf.function(autograph=False)
    def step(encoded, values):
        image = tf.io.decode_jpeg(encoded)
        # One of them deep inside a loop.
        doubled = tf.map_fn(lambda value: tf.py_function(lambda x: 2 * x, [value], tf.float32), values)
        tf.debugging.assert_positive(values)
        return tf.cast(tf.shape(image), tf.float32), doubled, tf.where(values > 0)

    graph = step.get_concrete_function(tf.TensorSpec([], tf.string), tf.TensorSpec([3], tf.float32)).graph
    assert {found.type for found in operations.host_only(graph)} == {'DecodeJpeg', 'EagerPyFunc', 'Where'}


def test_an_operation_is_placed_in_our_code():
    def loss(values):
        return contrastive.nt_xent(values, values, 0.5).loss

    graph = tf.function(loss, autograph=False).get_concrete_function(tf.TensorSpec([2, 2], tf.float32)).graph
    known = operations.places(graph)
    assert any(place.startswith('official_rethink/losses/contrastive.py:') for place in known.values())
