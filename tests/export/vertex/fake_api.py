"""The job service of Vertex AI on this machine's loopback: what it is sent is kept, what it answers is scripted."""

import contextlib
import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator
from typing import Any

from export.vertex import api_types

RUN = ('PENDING', 'RUNNING', 'RUNNING', 'SUCCEEDED')
_MESSAGES = {'customJobs': 'CustomJob', 'hyperparameterTuningJobs': 'HyperparameterTuningJob'}


class Fake:
    """The service.

    Attributes:
        faults: what goes wrong with the next calls of a method, in order: 'before' and 'after' close the connection
            before and after the call is done, 'torn' sends half of an answer, a number is an HTTP status, '' is
            nothing.
        states: of a job, one for each look at it; the last one stays.
        calls: method and path of every call.
        jobs: by name, as the API's JSON has them.
    """

    def __init__(self) -> None:
        self.faults: dict[str, list[Any]] = {}
        self.states: tuple[str, ...] = RUN
        self.error = ''
        self.trials: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.jobs: dict[str, dict[str, Any]] = {}
        self.bodies: list[dict[str, Any]] = []
        self.hidden = 0  # listings that do not yet show what there is
        self.url = ''
        self._looks: dict[str, int] = {}

    def create(self, parent: str, collection: str, body: dict[str, Any]) -> dict[str, Any]:
        """A job as the API would make it; its message type has to hold it."""
        api_types.check(_MESSAGES[collection], body)
        name = f'{parent}/{collection}/{1000 + len(self.jobs)}'
        self.bodies.append(body)
        when = f'2026-01-01T00:00:{len(self.jobs):02d}Z'
        self.jobs[name] = {**body, 'name': name, 'state': 'JOB_STATE_QUEUED', 'createTime': when}
        return self.jobs[name]

    def look(self, name: str) -> dict[str, Any] | None:
        """A job, a state further than at the last look."""
        job = self.jobs.get(name)
        if job is None:
            return None
        look = self._looks[name] = self._looks.get(name, -1) + 1
        if job['state'] == 'JOB_STATE_CANCELLING':
            job['state'] = 'JOB_STATE_CANCELLED'
        elif job['state'] != 'JOB_STATE_CANCELLED':
            job['state'] = f'JOB_STATE_{self.states[min(look, len(self.states) - 1)]}'
        if self.error and job['state'] == 'JOB_STATE_FAILED':
            job['error'] = {'code': 3, 'message': self.error}
        if self.trials:
            job['trials'] = self.trials[: look + 1]
        return job

    def found(self, parent: str, collection: str, query: str) -> list[dict[str, Any]]:
        """The jobs with a label, `labels.key=value`."""
        if self.hidden:
            self.hidden -= 1
            return []
        key, value = query.removeprefix('labels.').split('=')
        return [
            job
            for name, job in self.jobs.items()
            if name.startswith(f'{parent}/{collection}/') and job.get('labels', {}).get(key) == value
        ]


class _Handler(http.server.BaseHTTPRequestHandler):
    fake: Fake
    protocol_version = 'HTTP/1.1'

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the screen."""

    def do_GET(self) -> None:
        self._handle('GET')

    def do_POST(self) -> None:
        self._handle('POST')

    def _handle(self, method: str) -> None:
        length = int(self.headers.get('Content-Length') or 0)
        text = self.rfile.read(length)
        url = urllib.parse.urlsplit(self.path)
        path = url.path.removeprefix('/v1/')
        kind = 'CANCEL' if path.endswith(':cancel') else 'LIST' if 'filter=' in url.query else method
        self.fake.calls.append(f'{kind} {path}')
        faults = self.fake.faults.get(kind, [])
        fault = faults.pop(0) if faults else ''
        if fault == 'before':
            self.close_connection = True
            return
        if isinstance(fault, int):
            self._answer(fault, {'error': {'code': fault, 'status': f'STATUS_{fault}', 'message': 'as scripted'}})
            return
        status, value = self._do(kind, path, urllib.parse.parse_qs(url.query), text)
        if fault == 'after':
            self.close_connection = True
            return
        self._answer(status, value, torn=fault == 'torn')

    def _do(self, kind: str, path: str, query: dict[str, list[str]], text: bytes) -> tuple[int, dict[str, Any]]:
        if kind in ('POST', 'LIST'):
            parent, _, collection = path.rpartition('/')
            if kind == 'LIST':
                return 200, {collection: self.fake.found(parent, collection, query['filter'][0])}
            try:
                return 200, self.fake.create(parent, collection, json.loads(text))
            except api_types.MismatchError as error:
                return 400, {'error': {'code': 400, 'status': 'INVALID_ARGUMENT', 'message': str(error)}}
        name = path.removesuffix(':cancel')
        job = self.fake.jobs.get(name) if kind == 'CANCEL' else self.fake.look(name)
        if job is None:
            return 404, {'error': {'code': 404, 'status': 'NOT_FOUND', 'message': f'{name} is not found.'}}
        if kind == 'CANCEL':
            job['state'] = 'JOB_STATE_CANCELLING'
            return 200, {}
        return 200, job

    def _answer(self, status: int, value: dict[str, Any], torn: bool = False) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if torn else body)
        if torn:
            self.close_connection = True


@contextlib.contextmanager
def serving() -> Iterator[Fake]:
    """The service, for as long as the block runs."""
    fake = Fake()
    handler = type('Handler', (_Handler,), {'fake': fake})
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    server.daemon_threads = True
    fake.url = f'http://127.0.0.1:{server.server_port}'
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
