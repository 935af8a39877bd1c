"""What the processes of a job agree on, seen from one; two of them are run by tools/kill_training.py."""

import pytest
import tensorflow as tf

from official_rethink.common import errors, stopping
from official_rethink.tasks import crew as crews
from tests import devices


@pytest.fixture
def alone():
    return crews.Crew(tf.distribute.get_strategy())


@pytest.fixture
def ends(monkeypatch):
    """Collects the times after which the process would be ended."""
    found = []
    monkeypatch.setattr(stopping, 'end_in', found.append)
    return found


@pytest.fixture
def second(alone, ends):
    """The second of two, whose sums are what the chief brings and its own."""
    alone.size, alone.is_chief, alone.place = 2, False, 'worker 1 of 2 machines'
    return alone


def test_one_process_agrees_with_itself(alone):
    assert alone.sums(1.5, 2.0) == [1.5, 2.0]
    assert alone.any(True) and not alone.any(False)
    assert alone.of_chief(3.0) == 3.0


@pytest.mark.parametrize('strategy', [tf.distribute.get_strategy, devices.two_devices])
def test_each_process_counts_once_however_many_devices_it_has(strategy):
    crew = crews.Crew(strategy())
    assert crew.size == 1
    assert crew._sum(tf.constant([1.0, 40.0], tf.float64)).numpy().tolist() == [1.0, 40.0]


@pytest.mark.parametrize(
    'error',
    [
        tf.errors.UnavailableError(None, None, 'Collective ops is aborted by: Task 1 heartbeat timeout.'),
        tf.errors.InternalError(None, None, 'failed to connect to all addresses'),
        tf.errors.CancelledError(None, None, 'Socket closed'),
    ],
)
def test_the_loss_of_another_process_is_told(second, error, ends):
    with pytest.raises(stopping.PeerLost, match='so worker 1 of 2 machines ends too') as lost, second.watched():
        raise error
    assert error.message in str(lost.value)
    assert ends == [crews._ENDS_WITHIN]


def test_what_tensorflow_says_of_it_is_found_in_a_long_text(second):
    text = 'Graph execution error:\n\nDetected at node CollectiveReduceV2\n  File "collective.py", line 1\n'
    text += 'Collective ops is aborted by: Task 1 heartbeat timeout.\nRestart your program.'
    with pytest.raises(stopping.PeerLost, match='says: Collective ops is aborted by: Task 1 heartbeat timeout.$'):
        with second.watched():
            raise tf.errors.UnavailableError(None, None, text)


@pytest.mark.parametrize(
    'error',
    [
        tf.errors.InternalError(None, None, 'cuDNN launch failure'),
        tf.errors.DataLossError(None, None, 'corrupted record at 12 of the remote file'),
        errors.UserError('a mistake'),
    ],
)
def test_an_error_of_one_s_own_is_not_taken_for_it(second, error, ends):
    with pytest.raises(type(error)), second.watched():
        raise error
    assert ends == [crews._ENDS_WITHIN]  # the others wait for as long as this one lives


def test_alone_nothing_is_taken_for_it(alone, ends):
    with pytest.raises(tf.errors.UnavailableError), alone.watched():
        raise tf.errors.UnavailableError(None, None, 'Socket closed')
    assert ends == []


def test_one_that_leaves_first_breaks_nothing_off(second, monkeypatch):
    """The other has its second sum and is gone before this one has its own."""
    gone = tf.errors.UnavailableError(None, None, 'Collective ops is aborted by: Socket closed')
    answers = iter([[0.0], gone])

    def sums(*values):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(second, 'sums', sums)
    second.leave()
    assert not list(answers)


def test_one_that_never_came_to_leave_is_missed(second, monkeypatch, ends):
    def sums(*values):
        raise tf.errors.UnavailableError(None, None, 'Collective ops is aborted by: Task 0 heartbeat timeout.')

    monkeypatch.setattr(second, 'sums', sums)
    with pytest.raises(stopping.PeerLost), second.watched():
        second.leave()
    second.is_chief = True  # it has written all there is
    second.leave()


def test_the_chief_s_checkpoint_is_taken_by_all(second, monkeypatch, tmp_path):
    """The chief names ckpt-20, which this machine sees, though it would have found ckpt-30 itself."""
    for step in (20, 30):
        (tmp_path / f'ckpt-{step}.index').touch()
    name = b'ckpt-20'
    answers = iter([[float(len(name))], [float(code) for code in name], [0.0]])
    monkeypatch.setattr(second, 'sums', lambda *values: next(answers))
    assert second.newest_checkpoint(str(tmp_path)) == str(tmp_path / 'ckpt-20')


def test_a_folder_that_is_not_shared_is_named(second, monkeypatch, tmp_path):
    monkeypatch.setattr(crews, '_SEEN_WITHIN', 0.0)
    monkeypatch.setattr(second, 'sums', lambda *values: list(values))
    with pytest.raises(errors.UserError, match=r"--model_dir .*share.* worker 1 of 2 .* see '.*params.yaml'"):
        second.check_shared(str(tmp_path / 'params.yaml'))
    (tmp_path / 'params.yaml').touch()
    second.check_shared(str(tmp_path / 'params.yaml'))
