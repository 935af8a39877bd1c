"""A request's way through the server, whatever HTTP library reads it: body, images, model, answer."""

import asyncio
import concurrent.futures
import dataclasses
import functools
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeVar

from export.serving import batching, images, limits, parameters, requests

JSON = 'application/json'
# Of a body that is too large so much is read and thrown away, that the client comes to read the answer.
_THROWN_AWAY = 100_000_000
_Result = TypeVar('_Result')


@dataclasses.dataclass(frozen=True)
class Options:
    """How the server works.

    Attributes:
        batch_size: images that the model answers together, at most.
        batch_seconds: how long the first of a batch waits for others.
        bounds: what is allowed.
    """

    batch_size: int = 8
    batch_seconds: float = 0.005
    bounds: limits.Limits = dataclasses.field(default_factory=limits.Limits)


class Service:
    """A model that answers requests.

    Attributes:
        state: 'loading', 'ready', 'failed' or 'stopping'.
        model: once it is loaded.
        batcher: likewise.
    """

    def __init__(self, load: Callable[[], Any], options: Options):
        """Args: what is served, and how.

        Args:
            load: makes the model; takes its time.
            options: sizes and limits.
        """
        self._load, self.options = load, options
        self.state = 'loading'
        self.model: Any = None
        self.batcher: batching.Batcher | None = None
        self.open = 0
        self.room = batching.Room(options.bounds.queue_pixels)
        # One thread for the model, which has threads of its own; others read and write.
        self._one = concurrent.futures.ThreadPoolExecutor(1, 'model')
        self._many = concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1, 'images')

    async def start(self) -> None:
        """Loads the model; the event loop goes on."""
        loop = asyncio.get_running_loop()
        try:
            self.model = await loop.run_in_executor(self._one, self._load)
        except BaseException:
            self.state = 'failed'
            raise
        size = min(self.options.batch_size, self.model.largest_batch or self.options.batch_size)

        async def run(batch: Any) -> list[batching.Outputs]:
            return await loop.run_in_executor(self._one, self.model.run, batch)

        pixels = self.options.bounds.image_pixels
        self.batcher = batching.Batcher(run, size, self.options.batch_seconds, pixels)
        self.batcher.start()
        if self.state == 'loading':
            self.state = 'ready'

    async def stop(self) -> None:
        """Ends, after the requests that are open are answered."""
        self.state = 'stopping'
        if self.batcher:
            await self.batcher.stop()
        for pool in (self._one, self._many):
            pool.shutdown(wait=False, cancel_futures=True)

    def check_ready(self) -> None:
        """Refuses unless the model is loaded.

        Raises:
            Refusal: 503.
        """
        if self.state != 'ready':
            words = {'loading': 'the model is being loaded', 'stopping': 'this server is stopping'}
            message = words.get(self.state, 'the model could not be loaded')
            raise limits.busy(self.state, message, 5 if self.state == 'loading' else 1)

    async def respond(
        self, headers: Mapping[str, str], body: AsyncIterator[bytes], notes: dict[str, Any]
    ) -> bytes:
        """Answers a prediction request.

        Args:
            headers: of the request, their names in lower case.
            body: its parts.
            notes: takes what the access log tells of it.

        Returns:
            JSON.

        Raises:
            Refusal: anything but 200.
        """
        self.check_ready()
        if self.open >= self.options.bounds.requests:
            raise limits.busy('queue_full', f'{self.open} requests are waiting already')
        self.open += 1
        try:
            check_type(headers)
            raw = await self._read(headers, body)
            notes['request_bytes'] = len(raw)
            request = await self._in_pool(requests.parse, raw, self.options.bounds)
            del raw
            return await self._predict(request, notes)
        finally:
            self.open -= 1

    async def _read(self, headers: Mapping[str, str], body: AsyncIterator[bytes]) -> bytes:
        bounds = self.options.bounds
        try:
            async with asyncio.timeout(bounds.body_seconds):
                return await read_body(headers, body, bounds.body_bytes)
        except TimeoutError:
            told = headers.get('content-length', '0')
            if told.isdecimal() and int(told) > bounds.body_bytes:  # known before the time was over
                words = f'the body has {int(told):,} bytes'
                raise limits.too_large('body_bytes', words, int(told), bounds.body_bytes) from None
            raise limits.Refusal(
                408, 'body_time', f'the body did not arrive within {bounds.body_seconds:g} seconds'
            ) from None

    async def _predict(self, request: requests.Request, notes: dict[str, Any]) -> bytes:
        from export.serving import answers  # noqa: PLC0415 (OpenCV; not before the model is there)

        notes['instances'] = len(request.instances)
        wanted = parameters.parse(request.parameters, self.model.kind == 'detection', self.model.gives_masks)
        with self.room.take(request.room):
            pixels = []
            started = time.monotonic()
            for number, instance in enumerate(request.instances):
                pixels.append(await self._in_pool(images.decode, instance, number, self.model))
            decoded = time.monotonic()
            assert self.batcher
            found = await self.batcher.ask(pixels)
            notes['decode_ms'] = round(1000 * (decoded - started), 1)
            notes['model_ms'] = round(1000 * (time.monotonic() - decoded), 1)
            sizes = [(image.shape[0], image.shape[1]) for image in pixels]
            del pixels

            def written() -> bytes:
                rows = [
                    answers.prediction(outputs, height, width, wanted, self.model)
                    for outputs, (height, width) in zip(found, sizes, strict=True)
                ]
                return encode({'predictions': rows})

            return await self._in_pool(written)

    async def _in_pool(self, function: Callable[..., _Result], *values: Any) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._many, functools.partial(function, *values))


def check_type(headers: Mapping[str, str]) -> None:
    """Refuses what is not plain JSON in UTF-8.

    Raises:
        Refusal: 415.
    """
    given = headers.get('content-type', '')
    name, *options = (part.strip().lower() for part in given.split(';'))
    charsets = [option.partition('=')[2].strip('"') for option in options if option.startswith('charset=')]
    if name != JSON:
        found = f"is '{given[:60]}'" if given else 'is missing'
        raise limits.Refusal(415, 'content_type', f'Content-Type {found}; allowed: {JSON}')
    if charsets not in ([], ['utf-8'], ['utf8']):
        raise limits.Refusal(415, 'content_type', f"the body's charset is '{charsets[0][:40]}'; allowed: utf-8")
    coding = headers.get('content-encoding', 'identity').strip().lower()
    if coding not in ('', 'identity'):
        raise limits.Refusal(
            415, 'content_encoding', f"Content-Encoding is '{coding[:40]}'; allowed: none, send the body as it is"
        )


async def read_body(headers: Mapping[str, str], body: AsyncIterator[bytes], most: int) -> bytes:
    """Reads a body, or so much of it that it is known to be too large.

    Raises:
        Refusal: 400 or 413.
    """
    told = headers.get('content-length', '')
    if told and not told.isdecimal():
        raise limits.Refusal(400, 'malformed', f"Content-Length is '{told[:40]}'; needed: a whole number")
    parts: list[bytes] = []
    total, over = 0, bool(told) and int(told) > most
    if over and headers.get('expect', '').lower() == '100-continue':  # nothing is on its way yet
        raise limits.too_large('body_bytes', f'the body has {int(told):,} bytes', int(told), most)
    async for part in body:
        total += len(part)
        over = over or total > most
        if over:
            parts.clear()
            if total > most + _THROWN_AWAY:
                break
        else:
            parts.append(part)
    if over:
        size = max(total, int(told or 0))
        raise limits.too_large('body_bytes', f'the body has {size:,} bytes', size, most)
    return b''.join(parts)


def encode(document: Any) -> bytes:
    """JSON; a value that it does not have is a ValueError."""
    return json.dumps(document, allow_nan=False, separators=(',', ':')).encode()
