"""The server's routes as an ASGI application: health, predictions, errors, the access log."""

import asyncio
import datetime
import json
import sys
import time
import traceback
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from export.serving import limits, service

_Scope = dict[str, Any]
_Receive = Callable[[], Awaitable[dict[str, Any]]]
_Send = Callable[[dict[str, Any]], Awaitable[None]]


def write_line(entry: dict[str, Any]) -> None:
    """Writes a line that Cloud Logging reads as one entry."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec='milliseconds')
    sys.stdout.write(json.dumps({'time': now, **entry}) + '\n')
    sys.stdout.flush()


class Application:
    """Answers `GET health` and `POST predict`; everything else is a 404 or 405 that says so."""

    def __init__(
        self,
        served: service.Service,
        health: str = '/health',
        predict: str = '/predict',
        log: Callable[[dict[str, Any]], None] = write_line,
        failed: Callable[[BaseException], None] | None = None,
    ):
        """Args: what is served, and where.

        Args:
            served: not yet started.
            health: the route of health checks.
            predict: the route of predictions.
            log: takes entries.
            failed: is told when the model cannot be loaded.
        """
        self.service, self._log, self._failed = served, log, failed
        self._routes = {health: ('GET', self._health), predict: ('POST', self._predict)}
        self._loading: asyncio.Task[None] | None = None

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """As ASGI has it."""
        if scope['type'] == 'lifespan':
            await self._live(receive, send)
        elif scope['type'] == 'http':
            await self._request(scope, receive, send)
        else:
            await send({'type': 'websocket.close', 'code': 1003})

    async def _live(self, receive: _Receive, send: _Send) -> None:
        while True:
            message = await receive()
            if message['type'] == 'lifespan.startup':
                self._loading = asyncio.get_running_loop().create_task(self._load())
                await send({'type': 'lifespan.startup.complete'})
            else:
                await self.service.stop()
                if self._loading:
                    self._loading.cancel()
                await send({'type': 'lifespan.shutdown.complete'})
                return

    async def _load(self) -> None:
        started = time.monotonic()
        try:
            await self.service.start()
        except Exception as error:
            if self._failed:
                self._failed(error)
            return
        model = self.service.model
        self._log(
            {
                'severity': 'INFO',
                'message': f'ready after {time.monotonic() - started:.1f} s',
                'kind': model.kind,
                'classes': len(model.class_names),
                **model.facts,
            }
        )

    async def _health(self, headers: dict[str, str], receive: _Receive, notes: dict[str, Any]) -> bytes:
        self.service.check_ready()
        return b'{"status":"ready"}'

    async def _predict(self, headers: dict[str, str], receive: _Receive, notes: dict[str, Any]) -> bytes:
        return await self.service.respond(headers, _parts(receive), notes)

    async def _request(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        headers = {name.decode('latin-1').lower(): value.decode('latin-1') for name, value in scope['headers']}
        notes: dict[str, Any] = {}
        started, number = time.monotonic(), uuid.uuid4().hex[:16]
        status, body = 200, b''
        more: dict[str, str] = {}
        try:
            handler = self._handler(scope)
            body = await handler(headers, receive, notes)
        except limits.Refusal as refusal:
            status, more, body = refusal.status, refusal.headers, service.encode(refusal.document())
            notes['reason'] = refusal.reason
            notes['refused'] = refusal.message
        except _GoneError:
            status, notes['reason'] = 499, 'client_gone'
        except Exception as error:
            status, notes['reason'], notes['stack_trace'] = 500, 'internal', traceback.format_exc()
            message = f"this server failed ({type(error).__name__}); its log tells more under '{number}'"
            body = service.encode({'error': {'code': 500, 'reason': 'internal', 'message': message}})
        if status != 499:
            await _send(send, status, body, {**more, 'x-request-id': number}, scope['method'] == 'HEAD')
        self._tell(scope, headers, status, len(body), time.monotonic() - started, number, notes)

    def _handler(self, scope: _Scope) -> Callable[..., Awaitable[bytes]]:
        """The function of a route.

        Raises:
            Refusal: 404 or 405.
        """
        path, method = scope['path'], scope['method']
        if path not in self._routes:
            routes = ' and '.join(f'{verb} {known}' for known, (verb, _) in self._routes.items())
            raise limits.Refusal(404, 'route', f"there is no '{path[:100]}' here; allowed: {routes}")
        allowed, handler = self._routes[path]
        if method != allowed and not (method == 'HEAD' and allowed == 'GET'):
            raise limits.Refusal(
                405, 'method', f'{method[:20]} {path} is not allowed; allowed: {allowed}', headers={'allow': allowed}
            )
        return handler

    def _tell(
        self,
        scope: _Scope,
        headers: dict[str, str],
        status: int,
        size: int,
        seconds: float,
        number: str,
        notes: dict[str, Any],
    ) -> None:
        """The access log; of health checks only what is not 200."""
        if status == 200 and self._routes[scope['path']][0] == 'GET':
            return
        severity = 'INFO' if status < 400 else 'WARNING' if status < 500 or status == 503 else 'ERROR'
        client = scope.get('client')
        self._log(
            {
                'severity': severity,
                'message': f"{scope['method'][:20]} {scope['path'][:100]} {status}",
                'httpRequest': {
                    'requestMethod': scope['method'][:20],
                    'requestUrl': scope['path'][:100],
                    'status': status,
                    'requestSize': str(notes.pop('request_bytes', 0)),
                    'responseSize': str(size),
                    'latency': f'{seconds:.4f}s',
                    'remoteIp': client[0] if client else '',
                    'userAgent': headers.get('user-agent', '')[:100],
                },
                'request_id': number,
                **notes,
            }
        )


class _GoneError(Exception):
    """The client closed the connection before its request was whole."""


async def _parts(receive: _Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message['type'] == 'http.disconnect':
            raise _GoneError
        yield message.get('body', b'')
        more = message.get('more_body', False)


async def _send(send: _Send, status: int, body: bytes, more: dict[str, str], head: bool) -> None:
    headers = {'content-type': service.JSON, 'content-length': str(len(body)), **more}
    if status == 413:  # its body may not have been read to the end
        headers['connection'] = 'close'
    listed = [(name.encode('latin-1'), value.encode('latin-1')) for name, value in headers.items()]
    await send({'type': 'http.response.start', 'status': status, 'headers': listed})
    await send({'type': 'http.response.body', 'body': b'' if head else body})
