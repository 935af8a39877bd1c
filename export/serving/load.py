"""Entry point: a load test of a prediction server, from a process of its own.

It keeps a number of connections busy and reports requests a second, latencies, errors, how busy the machine was and,
of a server on it, its memory before, in each tenth of the time (the median), and after. With --bad_share some requests
are broken on purpose, and have to be refused.
"""

import argparse
import collections
import dataclasses
import http.client
import itertools
import json
import os
import random
import statistics
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from export.serving import bad_requests, client, limits
from official_rethink.common import entry_point, errors, files

_EPILOG = """example:
  python -m export.serving.load --url=http://127.0.0.1:8080 --requests=500 --concurrency=8 --image=photo.jpg
  python -m export.serving.load --url=http://127.0.0.1:8080 --seconds=600 --bad_share=0.3 --server_pid=1234"""

EXIT_ERRORS = 1
_LOOK = 0.25  # seconds between two looks at the server's memory
_PARTS = 10


@dataclasses.dataclass
class Tally:
    """What came back.

    Attributes:
        good: seconds of each good request that was answered with 200.
        statuses: how often each status came.
        refused: of bad requests, how many got the answer they have to get.
        kinds: names of the bad requests that were sent.
        wrong: (what was sent, what came) of the others, the first few.
        errors: how many those are.
        reopened: connections that the server had closed without saying so; the request was sent again.
    """

    good: list[float] = dataclasses.field(default_factory=list)
    statuses: collections.Counter[int] = dataclasses.field(default_factory=collections.Counter)
    refused: int = 0
    kinds: set[str] = dataclasses.field(default_factory=set)
    wrong: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    errors: int = 0
    reopened: int = 0

    def mistake(self, sent: str, came: str) -> None:
        """Notes an answer that should not have come."""
        self.errors += 1
        if len(self.wrong) < 10:
            self.wrong.append((sent, came))


class Load:
    """Workers that send until enough is sent."""

    def __init__(self, args: argparse.Namespace, good: Sequence[bytes], bad: Sequence[bad_requests.BadRequest]):
        """Args: what to send.

        Args:
            args: as parsed.
            good: bodies to choose from.
            bad: likewise, for `args.bad_share` of the requests.
        """
        self._args, self._good, self._bad = args, good, bad
        self._lock = threading.Lock()
        self._sent, self._end = 0, 0.0
        self.tally = Tally()
        self.memory: list[float] = []

    def run(self) -> float:
        """Sends; returns the seconds it took."""
        started = time.monotonic()
        self._end = started + self._args.seconds if self._args.seconds else float('inf')
        workers = [threading.Thread(target=self._work, args=(number,)) for number in range(self._args.concurrency)]
        for worker in workers:
            worker.start()
        for worker in workers:
            while worker.is_alive():
                worker.join(_LOOK)
                self.memory += [found['now'] for found in [memory(self._args.server_pid)] if found]
        return time.monotonic() - started

    def _next(self) -> int | None:
        with self._lock:
            enough = bool(self._args.requests) and self._sent >= self._args.requests
            if enough or time.monotonic() >= self._end:
                return None
            self._sent += 1
            return self._sent

    def _work(self, number: int) -> None:
        chance = random.Random(number)
        connection = client.Client(self._args.url)
        while (count := self._next()) is not None:
            if self._bad and chance.random() < self._args.bad_share:
                self._send_bad(connection, self._bad[count % len(self._bad)])
            else:
                self._send_good(connection, self._good[count % len(self._good)])
        connection.close()
        with self._lock:
            self.tally.reopened += connection.reopened

    def _send_good(self, connection: client.Client, body: bytes) -> None:
        started = time.monotonic()
        try:
            status, answer = connection.send(body)
        except (OSError, http.client.HTTPException) as error:
            status, answer = 0, str(error).encode()
        seconds = time.monotonic() - started
        with self._lock:
            self.tally.statuses[status] += 1
            if status == 200:
                self.tally.good.append(seconds)
            else:
                self.tally.mistake('a good request', f'{status} {client.reason(answer)}')

    def _send_bad(self, connection: client.Client, bad: bad_requests.BadRequest) -> None:
        try:
            status, answer = connection.send(bad.body, bad.headers, bad.method, bad.path)
        except (OSError, http.client.HTTPException) as error:
            status, answer = 0, str(error).encode()
        with self._lock:
            self.tally.statuses[status] += 1
            self.tally.kinds.add(bad.name)
            if status == bad.status and bad.told in client.reason(answer):
                self.tally.refused += 1
            else:
                self.tally.mistake(bad.name, f'{status} {client.reason(answer)}, not {bad.status} {bad.told}')


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of the values do not pass."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1))]


def memory(process: int) -> dict[str, float]:
    """A process's memory in MB, now and at most; empty where the system does not tell."""
    try:
        with open(f'/proc/{process}/status', encoding='utf-8') as file:
            lines = dict(line.split(':', 1) for line in file)
    except OSError:
        return {}
    return {name: int(lines[key].split()[0]) / 1024 for name, key in (('now', 'VmRSS'), ('most', 'VmHWM'))}


def parts(values: Sequence[float], count: int) -> list[float]:
    """The median of each of `count` parts of a list, of equal length; of its values where it is shorter."""
    edges = [round(number * len(values) / count) for number in range(count + 1)]
    cuts = [values[start:end] for start, end in itertools.pairwise(edges)]
    return [round(statistics.median(cut), 1) for cut in cuts if cut]


def report(args: argparse.Namespace, load: Load, seconds: float, before: dict, after: dict) -> dict[str, Any]:
    """The figures."""
    tally = load.tally
    found: dict[str, Any] = {
        'seconds': round(seconds, 2),
        'concurrency': args.concurrency,
        'instances_a_request': args.instances,
        'requests': sum(tally.statuses.values()),
        'requests_a_second': round(sum(tally.statuses.values()) / seconds, 2),
        'good': len(tally.good),
        'refused_as_they_have_to_be': tally.refused,
        'kinds_of_bad_requests': len(tally.kinds),
        'errors': tally.errors,
        'connections_lost': tally.reopened,
        'statuses': {str(status): count for status, count in sorted(tally.statuses.items())},
        'wrong': tally.wrong,
    }
    if tally.good:
        shares = (('p50', 0.5), ('p95', 0.95), ('p99', 0.99), ('most', 1.0))
        found['latency_ms'] = {name: round(1000 * quantile(tally.good, share), 1) for name, share in shares}
    if before and after:
        found['server_memory_mb'] = {
            'before': round(before['now'], 1),
            'during': parts(load.memory, _PARTS),
            'after': round(after['now'], 1),
            'most': round(after['most'], 1),
        }
    return found


def _bodies(args: argparse.Namespace) -> list[bytes]:
    pictures = []
    for path in args.image:
        try:
            with open(path, 'rb') as file:
                pictures.append(file.read())
        except OSError as error:
            raise errors.UserError(f'{error}.') from None
    pictures = pictures or [bad_requests.png(240, 320)]
    return [
        bad_requests.body(
            *(bad_requests.image(pictures[(start + more) % len(pictures)]) for more in range(args.instances))
        )
        for start in range(len(pictures))
    ]


def _parse_args(argv: Sequence[str]) -> argparse.Namespace:
    parser = entry_point.Parser(
        prog='python -m export.serving.load', description=__doc__.split(': ', 1)[1], epilog=_EPILOG
    )
    add = parser.add_argument
    add('--url', required=True, help='http://host:port of the server')
    add('--requests', type=int, default=0, help='how many (default: 200, unless --seconds is given)')
    add('--seconds', type=float, default=0.0, help='or for how long')
    add('--concurrency', type=int, default=4, help='connections that are kept busy (default: 4)')
    add('--instances', type=int, default=1, help='images of a request (default: 1)')
    add('--image', action='append', default=[], help='a picture to send; repeatable (default: a grey one, 320 x 240)')
    add('--bad_share', type=float, default=0.0, help='share of requests that are broken on purpose (default: 0)')
    add('--segmentation', action='store_true', help='the server serves a segmentation network')
    add('--warm_up', type=int, default=0, help='good requests before the first that counts (default: 0)')
    add('--server_pid', type=int, default=0, help="the server's process on this machine, to read its memory")
    add('--output', default='', help='write the figures there, as JSON')
    args = parser.parse_args(argv)
    for name, least in (('requests', 0), ('seconds', 0), ('concurrency', 1), ('instances', 1), ('warm_up', 0)):
        if getattr(args, name) < least:
            raise errors.bad_value(name, getattr(args, name), f'{least} or more', f'--{name}')
    if not 0 <= args.bad_share <= 1:
        raise errors.bad_value('bad_share', args.bad_share, 'a number from 0 to 1', '--bad_share')
    if not args.requests and not args.seconds:
        args.requests = 200
    return args


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    args = _parse_args(argv)
    good = _bodies(args)
    bad = bad_requests.kinds(limits.Limits(), not args.segmentation) if args.bad_share else []
    if args.server_pid and not os.path.isdir(f'/proc/{args.server_pid}'):
        raise errors.bad_value('server_pid', args.server_pid, 'a process of this machine', '--server_pid')
    first = client.Client(args.url)
    try:
        for _ in range(args.warm_up):
            first.send(good[0])
    except OSError as error:
        raise errors.UserError(f"no server answers at '{args.url}': {error}.") from None
    first.close()
    before, busy = memory(args.server_pid), os.getloadavg()[0]
    load = Load(args, good, bad)
    seconds = load.run()
    found = report(args, load, seconds, before, memory(args.server_pid))
    averages = [round(value, 1) for value in (busy, os.getloadavg()[0])]
    found['machine'] = {'processors': os.cpu_count(), 'load_average_before_and_after': averages}
    sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + '\n')
    if args.output:
        files.write_json(args.output, found)
    return EXIT_ERRORS if load.tally.errors else 0


if __name__ == '__main__':
    entry_point.run(main)
