"""The command: its settings, and the server as a process with a true socket, load, and SIGTERM."""

import http.client
import importlib.util
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from export.serving import bad_requests, client, limits, load, server
from official_rethink.common import errors
from tests.export.serving import stub

UVICORN = pytest.mark.skipif(
    importlib.util.find_spec('uvicorn') is None, reason=f'uvicorn is not installed: {server.INSTALL}'
)


def _settings(*argv: str, **environment: str) -> dict:
    return server.settings(server._parse_args(argv), environment)


def test_flags_and_variables() -> None:
    variables = {
        'AIP_STORAGE_URI': 'gs://bucket/model',
        'AIP_HTTP_PORT': '9000',
        'AIP_HEALTH_ROUTE': '/v1/endpoints/1/deployedModels/2',
        'AIP_PREDICT_ROUTE': '/v1/endpoints/1/deployedModels/2:predict',
    }
    found = _settings(**variables)
    assert (found['model'], found['port']) == ('gs://bucket/model', 9000)
    assert found['predict_route'].endswith(':predict') and found['health_route'].endswith('/2')
    found = _settings('--model=here', '--port=81', '--max_instances=3', '--batch_ms=0', **variables)
    assert (found['model'], found['port'], found['options'].bounds.instances) == ('here', 81, 3)
    assert found['options'].batch_seconds == 0
    plain = _settings('--model=here')
    assert (plain['port'], plain['health_route'], plain['predict_route']) == (8080, '/health', '/predict')
    assert plain['options'].bounds == limits.Limits()


@pytest.mark.parametrize(
    ('argv', 'variables', 'told'),
    [
        ([], {}, 'name an export with --model, or in AIP_STORAGE_URI'),
        (['--model=x', '--port=0'], {}, r"port is '0' \(set in --port\); allowed: a whole number from 1 to 65535"),
        (['--model=x'], {'AIP_HTTP_PORT': 'http'}, r"port is 'http' \(set in AIP_HTTP_PORT\)"),
        (['--model=x', '--predict_route=predict'], {}, "a path that begins with '/'"),
        (['--model=x', '--predict_route=/health'], {}, 'another route than the health checks have'),
        (['--model=x', '--batch_size=0'], {}, r'batch_size is 0 \(set in --batch_size\); allowed: over 0'),
        (['--model=x', '--batch_ms=-1'], {}, 'batch_ms is -1.0'),
        (['--model=x', '--max_body_bytes=-5'], {}, 'max_body_bytes is -5'),
        (['--model=x', '--max_request_pixels=7'], {}, 'max_request_pixels 7 .* have to rise'),
        (['--model=x', '--max_instance=7'], {}, "Did you mean '--max_instances'"),
    ],
)
def test_mistakes_are_named(argv: list[str], variables: dict[str, str], told: str) -> None:
    with pytest.raises(errors.UserError, match=told):
        _settings(*argv, **variables)


def test_a_wrong_model_or_port_is_told_before_anything_is_loaded(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.UserError, match='there is no saved_model.pb in'):
        server.main([f'--model={tmp_path}/none'])
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(errors.UserError, match=f"port {port} of '127.0.0.1' cannot be listened on: .*in use"):
            server._listen('127.0.0.1', port)


def _free_port() -> int:
    with socket.create_server(('127.0.0.1', 0)) as found:
        return found.getsockname()[1]


class Process:
    def __init__(self, folder: str, *more: str):
        # Into files: a pipe that nobody reads fills up, and the server would wait for room to log.
        self.out, self.err = pathlib.Path(folder, 'out.log'), pathlib.Path(folder, 'err.log')
        self.port = _free_port()
        self.url = f'http://127.0.0.1:{self.port}'
        command = [sys.executable, '-m', 'export.serving.server', f'--model={folder}', '--host=127.0.0.1']
        with self.out.open('w') as out, self.err.open('w') as err:
            self.process = subprocess.Popen([*command, f'--port={self.port}', *more], stdout=out, stderr=err)
        self.statuses: list[int] = []

    def wait_ready(self) -> None:
        """Until it is ready; notes what its health check said before."""
        end = time.monotonic() + 300
        while 200 not in self.statuses:
            assert time.monotonic() < end and self.process.poll() is None, self.err.read_text()
            try:
                asked = http.client.HTTPConnection('127.0.0.1', self.port, timeout=20)
                asked.request('GET', '/health')
                self.statuses.append(asked.getresponse().status)
                asked.close()
            except ConnectionRefusedError:
                pass
            time.sleep(0.2)


@pytest.fixture(scope='module')
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    made = Process(stub.save(tmp_path_factory.mktemp('stub'), ['image_bytes'], masks=False), '--batch_ms=20')
    made.wait_ready()
    yield made
    if made.process.poll() is None:
        made.process.kill()
        made.process.wait()


@UVICORN
def test_not_ready_before_ready(running: Process) -> None:
    """It listens while TensorFlow is still being imported, so that a probe of the port succeeds."""
    assert running.statuses[0] == 503 and running.statuses[-1] == 200


@UVICORN
def test_bad_requests_over_a_socket(running: Process) -> None:
    """All of them over one kept connection, each answered to the end, and a good one after each tenth."""
    connection = client.Client(running.url)
    for number, bad in enumerate(bad_requests.kinds(limits.Limits())):
        status, answer = connection.send(bad.body, bad.headers, bad.method, bad.path)
        assert (status, bad.told in client.reason(answer)) == (bad.status, True), (bad.name, answer[:300])
        if number % 10 == 0:
            assert connection.predict([bad_requests.png(8, 8)])[0]['num_detections'] == 2
    connection.close()


@UVICORN
@pytest.mark.parametrize(
    ('sent', 'status', 'told'),
    [
        (b'hello\r\n\r\n', 400, b'Invalid HTTP request'),
        (b'POST /predict HTTP/1.1\r\nHost: h\r\nContent-Length: many\r\n\r\n', 400, b'Invalid HTTP request'),
        (b'POST /predict HTTP/1.1\r\nHost: h\r\nX: ' + b'a' * 200_000 + b'\r\n\r\n', 400, b'Invalid HTTP request'),
        (b'GET /predict HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n', 405, b'"method"'),
        (
            b'POST /predict HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 99000000\r\n'
            b'Expect: 100-continue\r\n\r\n',
            413,
            b'the body has 99,000,000 bytes',
        ),
    ],
    ids=['no HTTP', 'a length that is none', 'headers without end', 'a web socket', 'a large body that asks first'],
)
def test_what_is_no_plain_request(running: Process, sent: bytes, status: int, told: bytes) -> None:
    with socket.create_connection(('127.0.0.1', running.port), timeout=30) as connection:
        connection.sendall(sent)
        answer = connection.recv(65_536)
        while told not in answer and (more := connection.recv(65_536)):
            answer += more
    assert answer.startswith(b'HTTP/1.1 %d ' % status) and told in answer, answer[:300]


@UVICORN
def test_load_from_a_second_process(running: Process, tmp_path: pathlib.Path) -> None:
    command = [sys.executable, '-m', 'export.serving.load', f'--url={running.url}', '--requests=60', '--concurrency=4']
    more = ['--bad_share=0.3', f'--server_pid={running.process.pid}', f'--output={tmp_path}/load.json', '--warm_up=2']
    done = subprocess.run([*command, *more], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / 'load.json').read_text())
    assert found == json.loads(done.stdout)
    assert found['requests'] == 60 and found['errors'] == found['connections_lost'] == 0 and found['wrong'] == []
    assert found['good'] + found['refused_as_they_have_to_be'] == 60 and found['good'] > 20
    latency = found['latency_ms']
    assert 0 < latency['p50'] <= latency['p95'] <= latency['p99'] <= latency['most']
    used = found['server_memory_mb']
    assert 50 < used['before'] <= used['most'] and 1 <= len(used['during']) <= 10
    assert all(50 < value <= used['most'] for value in [*used['during'], used['after']])
    assert found['machine']['processors'] == os.cpu_count()


@UVICORN
def test_the_example_of_a_client(running: Process, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / 'picture.png'
    picture.write_bytes(bad_requests.png(8, 8))
    arguments = [f'--url={running.url}', f'--image={picture}']
    assert client.main([*arguments, '--parameter=max_detections=1']) == 0
    assert '"detection_class_names": ["apple"]' in capsys.readouterr().out
    with pytest.raises(errors.UserError, match="answers 400: unknown parameter 'max_detection'.*Did you mean"):
        client.main([*arguments, '--parameter=max_detection=1'])


@UVICORN
def test_sigterm_answers_what_is_open(running: Process) -> None:
    """The last test of the module, for it ends the server: what is begun is answered, then exit code 0."""
    connection = http.client.HTTPConnection('127.0.0.1', running.port, timeout=60)
    body = bad_requests.body(*[bad_requests.image(bad_requests.png(900, 900))] * 8)
    connection.request('POST', '/predict', body, {'content-type': 'application/json'})
    time.sleep(0.1)  # the server has taken it
    os.kill(running.process.pid, signal.SIGTERM)
    answer = connection.getresponse()
    assert answer.status == 200 and len(json.loads(answer.read())['predictions']) == 8
    running.process.wait(60)
    out, err = running.out.read_text(), running.err.read_text()
    assert running.process.returncode == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines[0]['message'].startswith('listening on 127.0.0.1')
    assert any(line['message'].startswith('ready after') and line['kind'] == 'detection' for line in lines)
    assert lines[-2]['httpRequest']['status'] == 200
    assert lines[-1]['message'] == 'stopped, exit code 0'
    assert 'Traceback' not in err


def test_quantiles() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [load.quantile(values, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50, 95, 99, 100]
    assert load.quantile([3.0], 0.5) == load.quantile([3.0], 0.99) == 3
    assert load.parts([1.0, 2.0, 9.0, 4.0, 5.0, 6.0], 2) == [2, 5]
    assert load.parts([1.0, 2.0], 10) == [1, 2] and load.parts([], 10) == []


@pytest.mark.parametrize(
    ('argv', 'told'),
    [
        (['--url=localhost:80'], "url is 'localhost:80'"),
        (['--url=http://h:99999'], 'http://host:port'),
        (['--url=http://127.0.0.1:9', '--bad_share=2'], 'bad_share is 2.0'),
        (['--url=http://127.0.0.1:9', '--concurrency=0'], 'concurrency is 0'),
        (['--url=http://127.0.0.1:9', '--image=none.jpg'], 'none.jpg'),
        (['--url=http://127.0.0.1:9', '--server_pid=999999999'], 'a process of this machine'),
        (['--url=http://127.0.0.1:9', '--warm_up=1'], "no server answers at 'http://127.0.0.1:9'"),
    ],
)
def test_mistakes_of_a_load_test_are_named(argv: list[str], told: str) -> None:
    with pytest.raises(errors.UserError, match=told):
        load.main(argv)


def test_errors_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody answers every request is an error, and the exit code says so."""
    argv = [f'--url=http://127.0.0.1:{_free_port()}', '--requests=5', '--concurrency=2', '--bad_share=0.5']
    assert load.main(argv) == load.EXIT_ERRORS
    found = json.loads(capsys.readouterr().out)
    assert found['errors'] == 5 and found['statuses'] == {'0': 5} and len(found['wrong']) == 5
