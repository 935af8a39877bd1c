"""Several workers read every example once, and where they share the batches, those that one process has."""

import collections
import io
import re

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from official_rethink.common import errors
from official_rethink.configs import classification, types
from official_rethink.data import records, shards
from official_rethink.dataloaders import classification as classification_reader
from official_rethink.dataloaders import contrastive, detection, reader, segmentation, sharing
from official_rethink.tasks import classification as classification_task
from tests.tasks import small, small_maskrcnn, small_segmentation, small_simclr

SIZE = (16, 16)
COUNT, SHARDS = 24, 9  # eight shards would divide evenly


def _record(number):
    """Image i is grey all over, of the value i + 1."""
    stream = io.BytesIO()
    Image.fromarray(np.full([16, 16, 3], number + 1, np.uint8)).save(stream, 'PNG')
    return records.Record(str(number), stream.getvalue(), 'png', 16, 16, class_label=1)


@pytest.fixture(scope='module')
def pattern(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    categories = [{'id': 1, 'name': 'grey', 'source_id': 1}]
    for split, number in (('train', SHARDS), ('few', 2)):
        made = [_record(index) for index in range(COUNT)]
        shards.write(made, str(folder), split, categories, num_shards=number)
    return lambda split: f'{folder}/{split}-*.tfrecord'


class _Plain:
    """The image alone, which costs little to trace; what is shared out does not hang on the parser."""

    def decode(self, record):
        parsed = tf.io.parse_single_example(record, {'image/encoded': tf.io.FixedLenFeature((), tf.string)})
        return {'image': tf.io.decode_png(parsed['image/encoded'])}

    def train(self, decoded, seed):
        return tf.ensure_shape(decoded['image'], [16, 16, 3]), {'seed': tf.cast(seed, tf.int64)}

    def evaluate(self, decoded):
        return self.train(decoded, tf.zeros([2], tf.int64))


def _read(values, context, parser=None, **kwargs):
    params = types.ShardData(**{'shuffle_buffer_size': 2 * COUNT, **values})
    return reader.read(params, SIZE, 3, input_context=context, parser=parser or _Plain(), **kwargs)


def _classifier():
    params = classification.ClassificationTask()
    params.model.override({'num_classes': 3, 'input_size': [16, 16, 3]})
    return classification_task.ClassificationTask(params)


def _task_reader(small_task, parser, pseudo=False):
    """Reads as a task does, its parser's work left out."""

    def read(values, context):
        task = small_task()
        data = task.task_config.pseudo_data if pseudo else task.task_config.train_data
        data.override(values)
        with pytest.MonkeyPatch.context() as patch:
            for name in ('decode', 'train', 'evaluate'):
                patch.setattr(parser, name, getattr(_Plain, name))
            return (task.base.build_pseudo_inputs if pseudo else task.build_inputs)(data, context)

    return read


def _student():
    return small.small_task(small.SELF_TRAINING)


READERS = {
    'plain': _read,
    'detection': _task_reader(small.small_task, detection.DetectionParser),
    'pseudo detection': _task_reader(_student, detection.DetectionParser, pseudo=True),
    'masks': _task_reader(small_maskrcnn.task, detection.DetectionParser),
    'segmentation': _task_reader(small_segmentation.task, segmentation.SegmentationParser),
    'pseudo segmentation': _task_reader(
        lambda: small_segmentation.task(small.SELF_TRAINING), segmentation.SegmentationParser, pseudo=True
    ),
    'classification': _task_reader(_classifier, classification_reader.ClassificationParser),
    'contrastive': _task_reader(small_simclr.task, contrastive.ContrastiveParser),
}
EVALUATED = [kind for kind in READERS if not kind.startswith('pseudo')]
MORE = [('plain', 2), ('plain', 8)]


def _context(workers, worker, replicas=None):
    return tf.distribute.InputContext(workers, worker, replicas or workers)


def _greys(dataset, most=None):
    """The numbers of the images in a dataset's batches."""
    taken = dataset if most is None else dataset.take(most)
    return [int(grey) - 1 for images, _ in taken for grey in images.numpy().reshape(len(images), -1).max(axis=1)]


def _taken(dataset, count):
    """Of each batch the images' numbers and the seeds of their augmentation, [count, B, 3]."""
    return [
        np.column_stack([images.numpy()[:, 0, 0, 0].astype(np.int64) - 1, labels['seed'].numpy()])
        for images, labels in dataset.take(count)
    ]


@pytest.mark.parametrize(('kind', 'workers'), [*((kind, 3) for kind in READERS), *MORE])
def test_a_pass_over_all_workers_is_the_data_set(pattern, kind, workers):
    """By shards, in the order of the files; shard i holds the images i, i + 9 and i + 18, if there are any."""
    sizes = [sum(number % SHARDS == shard for number in range(COUNT)) for shard in range(SHARDS)]
    values = {'input_path': pattern('train'), 'global_batch_size': workers, 'shuffle_buffer_size': 1}
    seen, held = [], []
    for worker in range(workers):
        dataset = READERS[kind]({**values, 'is_training': True}, _context(workers, worker))
        stream = _greys(dataset, COUNT)
        # Which shards are a worker's is drawn, but each holds one of the first nine images.
        own = [number for number in dict.fromkeys(stream[: COUNT // 2]) if number < SHARDS]
        own = own[: SHARDS // workers + (worker < SHARDS % workers)]
        held += own
        seen += stream[: sum(sizes[number] for number in own)]
    assert sorted(held) == list(range(SHARDS)) and sorted(seen) == list(range(COUNT))


@pytest.mark.parametrize('workers', [2, 3, 8])
def test_too_few_shards_are_shared_out_by_examples(pattern, workers):
    """Every batch is one process's, after its shuffle; worker w has its w-th part."""
    # Two shards are enough for two workers, unless the config asks for it.
    values = {'input_path': pattern('few'), 'global_batch_size': 24, 'is_training': True, 'sharding': workers > 2}
    one = _taken(_read(values, None), 2)
    parts = [_taken(_read(values, _context(workers, worker)), 2) for worker in range(workers)]
    np.testing.assert_array_equal(one, np.concatenate(parts, axis=1))


@pytest.mark.parametrize(('kind', 'workers'), [*((kind, 3) for kind in EVALUATED), *MORE])
def test_an_evaluation_counts_every_example_once(pattern, kind, workers):
    """Also where the last batch is not full: its first examples are the first worker's."""
    replicas = 2 * workers if workers == 2 else workers
    size = replicas * 2
    values = {'input_path': pattern('train'), 'global_batch_size': size, 'drop_remainder': False}
    values['is_training'] = False
    one = _greys(READERS[kind](values, None))
    share, parts = size // workers, []
    for worker in range(workers):
        parts.append(_greys(READERS[kind](values, _context(workers, worker, replicas))))
        expected = [number for place, number in enumerate(one) if place % size // share == worker]
        assert parts[-1] == expected
    # A contrastive loss is of whole batches, so there what does not fill one is left out.
    whole = COUNT - COUNT % size if kind == 'contrastive' else COUNT
    assert len(sum(parts, [])) == len(set(sum(parts, []))) == whole


def test_an_evaluation_of_whole_batches_has_as_many_on_every_worker(pattern):
    """24 examples, ten a batch: two batches; the rest is left out, though the first worker could fill its part."""
    values = {'input_path': pattern('few'), 'global_batch_size': 10, 'drop_remainder': True}
    parts = [_greys(_read(values, _context(2, worker))) for worker in range(2)]
    one = _greys(_read(values, None))
    assert len(one) == 20
    assert parts == [one[:5] + one[10:15], one[5:10] + one[15:]]


def test_joint_batches_of_two_workers_are_those_of_one_process(pattern):
    """Four human and two pseudo examples: each worker has two and one, human first."""

    def joint(context):
        human, pseudo = (
            _read({'input_path': pattern(split), 'is_training': True, 'sharding': False, 'global_batch_size': size},
                  context)
            for split, size in (('few', 4), ('train', 2))
        )  # fmt: skip
        return _greys(reader.join(human, pseudo), 3)

    one, two = joint(None), [joint(_context(2, worker)) for worker in range(2)]
    for step in range(3):
        batch, parts = one[6 * step :][:6], [part[3 * step :][:3] for part in two]
        assert batch == parts[0][:2] + parts[1][:2] + parts[0][2:] + parts[1][2:]


def _mixed(pattern, context, split='few'):
    """Two batches from step 2 on, their examples one behind the other: grey values and targets."""
    params = classification.Data(augmentation=classification.Augmentation(mixup_alpha=0.4))
    mix = classification_reader.ClassificationParser(params, SIZE, 3).mix

    class Targets(_Plain):
        def train(self, decoded, seed):
            images, _ = super().train(decoded, seed)
            return images, {'targets': tf.one_hot(tf.cast(images[0, 0, 0], tf.int32) % 3, 3)}

    values = {'input_path': pattern(split), 'global_batch_size': 12, 'is_training': True, 'sharding': split != 'few'}
    batches = _read(values, context, Targets(), first_step=2, mix=mix)
    local = context.num_replicas_in_sync // context.num_input_pipelines if context else 1
    rows = [np.column_stack([images[:, 0, 0, 0], labels['targets']]) for images, labels in batches.take(2 * local)]
    return np.reshape(rows, [2, -1, 4])


@pytest.mark.parametrize(('workers', 'replicas'), [(1, 4), (2, 2), (2, 4), (3, 3)])
def test_mixup_is_over_the_global_batch(pattern, workers, replicas):
    """Whoever has an example mixes it with the one opposite it in the batch of all."""
    parts = [_mixed(pattern, _context(workers, worker, replicas)) for worker in range(workers)]
    one = _mixed(pattern, None)
    assert (one[..., 1:].max(axis=-1) < 1).any()
    np.testing.assert_array_equal(one, np.concatenate(parts, axis=1))


def test_a_worker_with_shards_of_its_own_mixes_its_own_batch(pattern):
    """Two replicas on each of two workers: six examples of a worker, each with the one opposite it there."""
    first, second = (_mixed(pattern, _context(2, worker, 4), split='train') for worker in range(2))
    assert first.shape == (2, 6, 4) and not np.array_equal(first, second)
    np.testing.assert_allclose(first[..., 1:].sum(axis=-1), 1, rtol=1e-5)


def test_two_workers_go_on_where_one_was(pattern, monkeypatch):
    """Three steps by one process, then two by two workers: the batches of five steps of one; nine shards at once."""
    monkeypatch.setattr(sharing, '_SHARDS_A_STREAM', 1)
    values = {'input_path': pattern('train'), 'global_batch_size': 4, 'is_training': True, 'sharding': False}
    one = _taken(_read(values, None), 5)
    rest = [_taken(_read(values, _context(2, worker), first_step=3), 2) for worker in range(2)]
    np.testing.assert_array_equal(one[3:], np.concatenate(rest, axis=1))


@pytest.mark.parametrize('split', ['few', 'train'])
def test_a_resumed_worker_goes_on_where_it_was(pattern, split):
    """By examples and by shards, though images are left out that take no place in a batch."""
    values = {'input_path': pattern(split), 'sharding': split != 'few', 'keep_images_without_boxes': False}
    params = types.PseudoDataConfig(global_batch_size=4, is_training=True, shuffle_buffer_size=COUNT, **values)

    class Odd(_Plain):
        def wanted(self, decoded):
            return tf.equal(decoded['image'][0, 0, 0] % 2, 0)

    def batches(first_step, count):
        return _taken(reader.read(params, SIZE, 3, first_step, _context(2, 1), parser=Odd()), count)

    whole = batches(0, 4)
    assert not np.array_equal(whole[:2], whole[2:]) and all(np.all(batch[:, 0] % 2 == 1) for batch in whole)
    np.testing.assert_array_equal(whole[2:], batches(2, 2))


def test_workers_of_one_stream_each_draw_for_their_own_examples(pattern):
    """By shards two workers draw from different seeds; else an example's place in the stream tells them apart."""
    params = types.DataConfig(global_batch_size=4, is_training=True)
    by = {number: sharing.share_of(params, number, _context(2, 1)) for number in (1, 2)}
    assert [(share.by, share.stream) for share in by.values()] == [(sharing.EXAMPLES, 0), (sharing.SHARDS, 1)]
    assert sharing.share_of(params.replace(sharding=False), 2, _context(2, 1)).by == sharing.EXAMPLES
    assert sharing.share_of(params.replace(is_training=False), 2, _context(2, 1)).by == sharing.EXAMPLES
    assert sharing.share_of(params, 2, None) == sharing.share_of(params, 2, _context(1, 0, 8)) == sharing.Share()


@pytest.mark.parametrize(
    ('number', 'workers', 'said'),
    [
        (3, 8, 'has 3 shards for 8 workers: each worker reads all .* 8 times over.* Write 8 shards or more'),
        (9, 2, 'has 9 shards for 2 workers: some read 4 in a pass and others 5.* a multiple of 2 shards'),
        (8, 2, ''),
        (1, 1, ''),
    ],
)
def test_too_few_shards_are_said_once(capsys, number, workers, said):
    params = types.DataConfig(input_path='data/train*', global_batch_size=24, is_training=True)
    for worker in range(workers):
        sharing.share_of(params, number, _context(workers, worker))
    printed = capsys.readouterr().err
    assert printed.count('\n') == bool(said) and bool(re.search(f'^warning: .*{said}', printed)) == bool(said)


@pytest.mark.parametrize('deterministic', [False, None])
def test_sharing_by_examples_needs_their_order(deterministic):
    params = types.DataConfig(input_path='data/train*', is_training=True, deterministic=deterministic)
    with pytest.raises(errors.UserError, match=r"'data/train\*' has to be split by examples over 4 workers \(2 shards"):
        sharing.share_of(params, 2, _context(4, 0))
    assert sharing.share_of(params, 4, _context(4, 0)).by == sharing.SHARDS


def test_reading_side_by_side_hangs_on_shards_alone():
    assert [sharing.streams(shards) for shards in (1, 15, 32, 256, 1024)] == [1, 1, 2, 16, 16]
    assert collections.Counter(sharing.places(12, sharing.Share(workers=3, worker=2)).read).most_common(1)[0][1] == 1
