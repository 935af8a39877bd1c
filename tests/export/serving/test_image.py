"""Dockerfile.serving, so far as it can be judged without an engine, its lock, and Vertex AI's own server."""

import http.server
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
from typing import Any

import pytest

from export.serving import bad_requests, server
from tests.export import images
from tests.export.serving import stub
from tools import set_up, source_tree

ROOT = pathlib.Path(source_tree.ROOT)


def instructions() -> list[tuple[str, str]]:
    lines = (ROOT / 'Dockerfile.serving').read_text().splitlines()
    joined = '\n'.join(line for line in lines if not line.startswith('#')).replace('\\\n', ' ')
    return [tuple(line.split(' ', 1)) for line in joined.splitlines() if line.strip()]  # type: ignore[misc]


def sources(stage: int) -> list[str]:
    found, place = [], -1
    for name, text in instructions():
        place += name == 'FROM'
        if name == 'COPY' and place == stage and '--from' not in text:
            found += text.split()[:-1]
    return found


def test_stages_user_and_order() -> None:
    names = [name for name, _ in instructions()]
    assert names.count('FROM') == 2 and 'ADD' not in names
    assert names[-3:] == ['USER', 'HEALTHCHECK', 'ENTRYPOINT']
    found = dict(instructions())
    assert found['USER'] == '1000'
    assert any('useradd --uid 1000' in text for name, text in instructions() if name == 'RUN')
    assert json.loads(found['ENTRYPOINT']) == ['python', '-m', 'export.serving.server']
    assert dict(instructions())['ARG'] == 'PYTHON=3.11-slim-bookworm' and set_up.PYTHONS['run'] == (3, 11)


def test_what_is_copied_is_what_reaches_the_builder() -> None:
    text = (ROOT / 'Dockerfile.serving.dockerignore').read_text()
    kept = [line[1:] for line in text.splitlines() if line.startswith('!')]
    assert text.splitlines()[1] == '*' and '**/__pycache__' in text
    assert sorted(kept) == sorted([*sources(0), *sources(1)])
    assert all((ROOT / source).exists() for source in kept)


def test_commands_are_the_shell_s() -> None:
    commands = [text for name, text in instructions() if name == 'RUN']
    assert len(commands) == 4 and '--require-hashes --no-deps' in commands[1]
    for text in commands:
        done = subprocess.run(['sh', '-n', '-c', text], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, '')


def test_what_is_copied_is_enough_to_run(tmp_path: pathlib.Path) -> None:
    for source in sources(1):
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, tmp_path / source, ignore=shutil.ignore_patterns('__pycache__', '*.tmp'))
    environment = {'PATH': os.environ['PATH'], 'PYTHONPATH': str(tmp_path), 'HOME': str(tmp_path)}
    command = [sys.executable, '-m', 'export.serving.server', '--help']
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and 'usage: python -m export.serving.server' in done.stdout, done.stderr
    images.check_bytecode(instructions(), tmp_path)


@pytest.mark.parametrize('status', [200, 503])
def test_the_health_check(status: int) -> None:
    """Its own words, against a server that is ready and one that is not."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == '/health' else 404)
            self.end_headers()

        def log_message(self, *values: Any) -> None:
            pass

    text = dict(instructions())['HEALTHCHECK']
    words = json.loads(text[text.index('[') :])
    with http.server.HTTPServer(('127.0.0.1', 0), Answer) as answering:
        threading.Thread(target=answering.serve_forever, daemon=True).start()
        port = str(answering.server_address[1])
        environment = {'AIP_HTTP_PORT': port, 'AIP_HEALTH_ROUTE': '/health', 'PATH': os.environ['PATH']}
        done = subprocess.run([sys.executable, *words[1:]], env=environment, capture_output=True, check=False)
        answering.shutdown()
    assert (done.returncode == 0) == (status == 200)


def test_the_lock_named_is_the_lock_installed() -> None:
    assert '-r requirements-serving.lock' in server.INSTALL
    assert (ROOT / 'requirements-serving.lock').is_file()


@pytest.mark.skipif(
    importlib.util.find_spec('fastapi') is None, reason=f'fastapi is not installed: {server.INSTALL}'
)
def test_vertex_ai_s_own_server(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CprModelServer, unchanged, with our handler: a prediction, and refusals with our reasons."""
    from fastapi import testclient
    from google.cloud.aiplatform.prediction import model_server

    for name, value in {
        'HANDLER_MODULE': 'export.serving.vertex',
        'HANDLER_CLASS': 'Handler',
        'AIP_STORAGE_URI': stub.save(tmp_path, ['image_bytes'], masks=False),
        'AIP_HTTP_PORT': '8080',
        'AIP_HEALTH_ROUTE': '/ready',
        'AIP_PREDICT_ROUTE': '/v1/model:predict',
    }.items():
        monkeypatch.setenv(name, value)
    made = model_server.CprModelServer()
    with testclient.TestClient(made.app) as asked:
        assert asked.get('/ready').status_code == 200
        good = bad_requests.body(bad_requests.image(bad_requests.png(8, 8)))
        headers = {'content-type': 'application/json'}
        answer = asked.post('/v1/model:predict', content=good, headers=headers)
        assert answer.status_code == 200 and answer.json()['predictions'][0]['num_detections'] == 2
        for body, status in ((b'{', 400), (bad_requests.body(bad_requests.image(b'RIFF')), 415)):
            refused = asked.post('/v1/model:predict', content=body, headers=headers)
            assert refused.status_code == status and refused.json()['error']['message']
