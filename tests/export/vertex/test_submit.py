"""`submit` end to end, against the service's fake on loopback: sent, watched, lost, cancelled."""

import io
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from export.vertex import client, submit, watch
from official_rethink.common import errors, stopping
from tests.export.vertex import fake_api, jobs

NAME = 'projects/my-project/locations/us-central1/customJobs/1000'


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_api.Fake]:
    """The service; tries follow each other quickly."""
    monkeypatch.setattr(client, '_FIRST_WAIT', 0.01)
    monkeypatch.setattr(client, '_LONGEST_WAIT', 0.05)
    with fake_api.serving() as found:
        yield found


def send(fake: fake_api.Fake, *flags: str, kind: str = 'train') -> int:
    make = jobs.train if kind == 'train' else jobs.tune
    return submit.main(make(f'--api_endpoint={fake.url}', '--poll_seconds=0.01', *flags))


def follow(fake: fake_api.Fake, *flags: str) -> int:
    return submit.main([f'--api_endpoint={fake.url}', '--poll_seconds=0.01', *flags])


def test_a_job_is_created_once_and_watched_to_its_end(
    fake: fake_api.Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    assert send(fake, '--label=team=vision', '--replica_count=2', '--machine_type=a2-highgpu-2g') == 0
    out, err = capsys.readouterr()
    assert out == NAME + '\n'
    [body] = fake.bodies
    assert body['labels']['team'] == 'vision' and len(body['labels']['submission']) == 32
    pools = body['jobSpec']['workerPoolSpecs']
    assert [pool['replicaCount'] for pool in pools] == [1, 1]
    assert pools[0]['machineSpec'] == {
        'machineType': 'a2-highgpu-2g',
        'acceleratorType': 'NVIDIA_TESLA_A100',
        'acceleratorCount': 2,
    }
    words = [line.split(' ', 1)[1] for line in err.splitlines() if line[:1].isdigit()]
    assert [word.split(',')[0] for word in words[1:]] == ['pending', 'running', 'succeeded']
    assert f'stream-logs {NAME}' in words[0]


@pytest.mark.parametrize(
    ('states', 'error', 'words'),
    [
        (('RUNNING', 'FAILED'), 'The replica workerpool0-0 exited with a non-zero status of 2.', 'failed: The replica'),
        (('RUNNING', 'CANCELLED'), '', 'cancelled: no reason given'),
        (('PENDING', 'EXPIRED'), '', 'expired: no reason given'),
        (('RUNNING', 'PARTIALLY_SUCCEEDED'), '', 'partially succeeded'),
    ],
)
def test_an_end_without_success_is_an_error(
    fake: fake_api.Fake, capsys: pytest.CaptureFixture[str], states: tuple[str, ...], error: str, words: str
) -> None:
    fake.states, fake.error = states, error
    assert send(fake) == submit.EXIT_JOB
    assert f'error: the job is {words}' in capsys.readouterr().err


@pytest.mark.parametrize('fault', ['before', 'after', 'torn', 503, 500, 408])
def test_a_lost_creation_makes_one_job(
    fake: fake_api.Fake, capsys: pytest.CaptureFixture[str], fault: str | int
) -> None:
    fake.faults = {'POST': [fault, fault], 'LIST': ['before', '']}
    assert send(fake) == 0
    assert capsys.readouterr().out == NAME + '\n'
    assert len(fake.jobs) == 1


def test_a_creation_that_came_through_late_is_cancelled(
    fake: fake_api.Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    """The listing did not show the first job yet, so there is a second one; the older stays."""
    fake.faults, fake.hidden = {'POST': ['after']}, 1
    assert send(fake) == 0
    out, err = capsys.readouterr()
    assert out == NAME + '\n'
    assert len(fake.jobs) == 2
    assert f'{NAME[:-1]}1 is the same job made a second time; cancelling it.' in err
    assert fake.jobs[f'{NAME[:-1]}1']['state'] == 'JOB_STATE_CANCELLING'


@pytest.mark.parametrize('fault', ['before', 'after', 'torn', 503, 429])
def test_a_connection_lost_while_watching_is_waited_for(
    fake: fake_api.Fake, capsys: pytest.CaptureFixture[str], fault: str | int
) -> None:
    fake.faults = {'GET': ['', fault, fault, fault]}
    assert send(fake) == 0
    err = capsys.readouterr().err
    assert err.count('no answer: ') == 1
    assert err.count('answered again, after') == 1


def test_patience_ends_and_the_job_goes_on(
    fake: fake_api.Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.faults = {'GET': [503] * 1000}
    assert send(fake, '--patience=1s') == submit.EXIT_LOST
    err = capsys.readouterr().err
    assert 'error: no answer for 1s: STATUS_503: as scripted (HTTP 503).' in err
    assert f'--attach={NAME}' in err
    fake.faults = {}
    assert follow(fake, f'--attach={NAME}') == 0


def test_a_creation_never_answered_names_its_label(
    fake: fake_api.Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.faults = {'POST': ['after'], 'LIST': ['before'] * 1000}
    assert send(fake, '--patience=1s') == submit.EXIT_LOST
    [mark] = [job['labels']['submission'] for job in fake.jobs.values()]
    assert f'Whether the job exists is not known: it would have the label submission={mark}.' in capsys.readouterr().err


def test_nobody_listens(fake: fake_api.Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake.url = 'http://127.0.0.1:9'
    assert send(fake, '--patience=1s') == submit.EXIT_LOST
    assert 'the connection was refused' in capsys.readouterr().err


@pytest.mark.parametrize('status', [400, 401, 403, 404, 429])
def test_a_refused_job_says_why_and_is_not_sent_again(fake: fake_api.Fake, status: int) -> None:
    fake.faults = {'POST': [status]}
    with pytest.raises(errors.UserError, match=f'refuses the job: STATUS_{status}: as scripted .HTTP {status}.'):
        send(fake)
    assert len(fake.calls) == 1


def test_interrupted_the_job_goes_on(
    fake: fake_api.Fake, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    def terminate(*args: Any, **kwargs: Any) -> None:
        raise stopping.Stopped(signal.SIGTERM)

    monkeypatch.setattr(client.Client, 'get', interrupt)
    assert send(fake) == submit.EXIT_INTERRUPTED
    again = f'the job goes on. Watch it again with: python -m export.vertex.submit --attach={NAME}'
    assert again in capsys.readouterr().err
    monkeypatch.setattr(client.Client, 'get', terminate)
    assert send(fake) == stopping.EXIT_TERMINATED
    assert 'not watching any more; the job goes on.' in capsys.readouterr().err
    assert not any(call.startswith('CANCEL') for call in fake.calls)
    monkeypatch.setattr(client.Client, 'call', interrupt)
    assert send(fake) == submit.EXIT_INTERRUPTED
    assert 'interrupted; if the job exists already, it has the label submission=' in capsys.readouterr().err


def test_attached_detached_cancelled(fake: fake_api.Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake.states = ('RUNNING',)
    assert send(fake, '--detach') == 0
    assert not any(call.startswith('GET') for call in fake.calls)
    fake.faults = {'CANCEL': ['before', 503]}
    assert follow(fake, f'--cancel={NAME}') == 0
    assert fake.jobs[NAME]['state'] == 'JOB_STATE_CANCELLED'
    assert follow(fake, f'--attach={NAME}') == submit.EXIT_JOB
    assert 'the job is cancelled' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('flags', 'words'),
    [
        (['--attach=123'], "--attach is '123'"),
        (['--cancel=projects/p/locations/us-central1/models/1'], 'allowed: projects/<project>'),
        ([f'--attach={NAME}', f'--cancel={NAME}'], 'alone: one of --attach and --cancel'),
        (['train', f'--attach={NAME}'], 'no new job beside it'),
        ([f'--attach={NAME[:-4]}77'], 'cannot be watched: NOT_FOUND'),
        ([f'--cancel={NAME[:-4]}77'], 'cannot be cancelled: NOT_FOUND'),
        ([], 'say what to run: train, study, label or tune'),
        (['train', *jobs.WHERE], 'the arguments of the train command are missing; they follow after --.'),
        (['trian', '--'], "invalid choice: 'trian'"),
        ([f'--attach={NAME}', '--poll_seconds=0'], '--poll_seconds is 0.0'),
        ([f'--attach={NAME}', '--patience=soon'], "--patience is 'soon'"),
        ([f'--attach={NAME}', '--api_endpoint=http://vertex.example'], 'http:// of this machine'),
    ],
)
def test_what_cannot_be_done_is_named(fake: fake_api.Fake, flags: list[str], words: str) -> None:
    address = [] if any(flag.startswith('--api_endpoint') for flag in flags) else [f'--api_endpoint={fake.url}']
    with pytest.raises(errors.UserError) as raised:
        submit.main([*address, *flags])
    assert words in str(raised.value)


def test_trials_are_told_with_their_own_keys(fake: fake_api.Fake, capsys: pytest.CaptureFixture[str]) -> None:
    key = 'task.losses.focal_loss_gamma'
    fake.trials = [trial(1, '1.5', 0.21), trial(2, '2.0', 0.34), trial(3, '2.5', None)]
    fake.states = ('RUNNING', 'RUNNING', 'RUNNING', 'SUCCEEDED')
    assert send(fake, f'--grid={key}=1.5,2.0,2.5', kind='tune') == 0
    out, err = capsys.readouterr()
    assert f'1 of 3 trials done; best: AP 0.2100, {key}=1.5' in err
    assert f'3 of 3 trials done, 1 of them without a result; best: AP 0.3400, {key}=2.0' in err
    lines = out.splitlines()[1:]
    assert [line.split()[:4] for line in lines[:2]] == [['trial', '2', 'AP', '0.3400'], ['trial', '1', 'AP', '0.2100']]
    assert lines[2].endswith(f'no result  {key}=2.5 (out of memory)')
    [body] = fake.bodies
    assert body['maxTrialCount'] == 3 and body['studySpec']['algorithm'] == 'GRID_SEARCH'


def trial(number: int, value: str, result: float | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        'id': str(number),
        'state': 'SUCCEEDED' if result is not None else 'INFEASIBLE',
        'parameters': [{'parameterId': 'task__losses__focal_loss_gamma', 'value': value}],
    }
    if result is None:
        return {**found, 'infeasibleReason': 'out of memory'}
    return {**found, 'finalMeasurement': {'stepCount': '100', 'metrics': [{'metricId': 'AP', 'value': result}]}}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_how_long_and_a_log_file_only_changes(fake: fake_api.Fake) -> None:
    fake.states = ('RUNNING', 'RUNNING', 'RUNNING', 'SUCCEEDED')
    assert send(fake, '--detach') == 0
    service = client.Client(fake.url, client.session(fake.url), 1, lambda text: None)
    ticks = iter(range(0, 600, 65))
    screen, log = Terminal(), io.StringIO()
    watch.follow(service, NAME, watch.Screen(screen), 0, lambda seconds: None, lambda: next(ticks))
    assert 'running for 1m05s' in screen.getvalue() and 'running for 2m10s' in screen.getvalue()
    assert screen.getvalue().endswith(' succeeded, after 3m15s running\n')
    fake._looks.clear()
    fake.jobs[NAME]['state'] = 'JOB_STATE_QUEUED'
    ticks = iter(range(0, 600, 65))
    watch.follow(service, NAME, watch.Screen(log), 0, lambda seconds: None, lambda: next(ticks))
    assert [line.split(' ', 1)[1] for line in log.getvalue().splitlines()] == [
        'running',
        'succeeded, after 3m15s running',
    ]


def test_a_service_that_is_away_for_a_while(fake: fake_api.Fake) -> None:
    """Every call fails until it is back, whatever the job is at."""
    fake.faults = {kind: [503] * 1000 for kind in ('POST', 'LIST', 'GET')}
    back = threading.Timer(0.3, fake.faults.clear)
    back.start()
    started = time.monotonic()
    assert send(fake) == 0
    assert time.monotonic() - started > 0.2
    assert len(fake.jobs) == 1
