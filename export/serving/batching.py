"""Images of requests that come at the same time, answered by the model together."""

import asyncio
import collections
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import numpy as np

from export.serving import limits

Outputs = dict[str, np.ndarray]


class Room:
    """How many pixels may be held at a time; taken before they are decoded."""

    def __init__(self, pixels: int):
        """Args: pixels: how many."""
        self._all, self.taken = pixels, 0

    @contextlib.contextmanager
    def take(self, pixels: int) -> Iterator[None]:
        """Takes room while the block runs.

        Raises:
            Refusal: 503, others have taken it.
        """
        if self.taken and self.taken + pixels > self._all:
            raise limits.busy('queue_full', f'{self.taken:,} pixels are waiting already, of at most {self._all:,}')
        self.taken += pixels
        try:
            yield
        finally:
            self.taken -= pixels


@dataclasses.dataclass
class _Waiting:
    image: np.ndarray
    answer: 'asyncio.Future[Outputs]'


class Batcher:
    """Gathers images and asks the model; while it computes, the next batch gathers by itself."""

    def __init__(
        self,
        run: Callable[[Sequence[np.ndarray]], Awaitable[list[Outputs]]],
        size: int,
        seconds: float,
        pixels: int,
    ):
        """Args: how to batch.

        Args:
            run: asks the model.
            size: images of a batch, at most.
            seconds: how long the first of a batch waits for others.
            pixels: of a batch, at most, if it has more than one image.
        """
        self._run, self._size, self._seconds, self._pixels = run, size, seconds, pixels
        self._waiting: collections.deque[_Waiting] = collections.deque()
        self._came = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._asked: list[_Waiting] = []
        self.sizes: collections.Counter[int] = collections.Counter()

    def start(self) -> None:
        """Begins; in a running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        """Ends; what still waits is refused."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for one in (*self._waiting, *self._asked):
            if not one.answer.done():
                one.answer.set_exception(limits.busy('stopping', 'this server is stopping'))

    async def ask(self, images: Sequence[np.ndarray]) -> list[Outputs]:
        """Answers for a request's images, in their order."""
        loop = asyncio.get_running_loop()
        mine = [_Waiting(image, loop.create_future()) for image in images]
        self._waiting.extend(mine)
        self._came.set()
        answers: list[Any] = await asyncio.gather(*(one.answer for one in mine), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers

    async def _work(self) -> None:
        while True:
            if not self._waiting:
                self._came.clear()
                await self._came.wait()
            await self._gather()
            self._asked = self._take()
            self.sizes[len(self._asked)] += 1
            await self._answer(self._asked)

    async def _gather(self) -> None:
        """Waits until a batch is full, or its first image has waited for long enough."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._seconds
        while len(self._waiting) < self._size and (left := end - loop.time()) > 0:
            self._came.clear()
            try:
                await asyncio.wait_for(self._came.wait(), left)
            except TimeoutError:
                return

    def _take(self) -> list[_Waiting]:
        batch = [self._waiting.popleft()]
        pixels = _pixels(batch[0])
        while self._waiting and len(batch) < self._size:
            pixels += _pixels(self._waiting[0])
            if pixels > self._pixels:
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _answer(self, batch: Sequence[_Waiting]) -> None:
        """Asks for a batch; if that fails, for each alone, so that one image's failure is its own."""
        try:
            found = await self._run([one.image for one in batch])
        except Exception as error:
            if len(batch) > 1:
                for one in batch:
                    await self._answer([one])
            elif not batch[0].answer.done():
                batch[0].answer.set_exception(error)
            return
        for one, outputs in zip(batch, found, strict=True):
            if not one.answer.done():
                one.answer.set_result(outputs)


def _pixels(one: _Waiting) -> int:
    return one.image.shape[0] * one.image.shape[1]
