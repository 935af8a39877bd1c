"""Sends requests to an ASGI application without a socket, from any number of threads."""

import asyncio
import dataclasses
import json
import threading
from collections.abc import Sequence
from typing import Any

from export.serving import application, service


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        return self.json['error']


class Server:
    """An application in an event loop of its own."""

    def __init__(self, load: Any, options: service.Options | None = None, start: bool = True):
        self.log: list[dict[str, Any]] = []
        self.failures: list[BaseException] = []
        self.served = service.Service(load, options or service.Options())
        self.app = application.Application(self.served, log=self.log.append, failed=self.failures.append)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        if start:
            self.wait(self.app._load())

    def wait(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def close(self) -> None:
        self.wait(self.served.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def send(
        self,
        body: bytes | Sequence[bytes | None] = b'',
        headers: dict[str, str] | None = None,
        method: str = 'POST',
        path: str = '/predict',
    ) -> Answer:
        """One request; of a body in parts None is a client that is gone."""
        return self.wait(self.sending(body, headers, method, path))

    async def sending(self, body: Any, headers: Any = None, method: str = 'POST', path: str = '/predict') -> Answer:
        parts = [body] if isinstance(body, bytes) else list(body)
        given = {'content-type': 'application/json'} if headers is None else headers
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if not parts:
                await asyncio.Event().wait()  # the client waits for the answer
            part = parts.pop(0)
            if part is None:
                return {'type': 'http.disconnect'}
            return {'type': 'http.request', 'body': part, 'more_body': bool(parts)}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            'type': 'http',
            'method': method,
            'path': path,
            'headers': [(name.encode(), value.encode()) for name, value in given.items()],
            'client': ('192.0.2.1', 5),
        }
        await self.app(scope, receive, send)
        if not sent:
            return Answer(0, {}, b'')
        start, rest = sent
        return Answer(start['status'], {n.decode(): v.decode() for n, v in start['headers']}, rest['body'])
