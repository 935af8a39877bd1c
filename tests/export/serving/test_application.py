"""The server's application without a socket: answers, forty and more kinds of bad request, batches, limits, the log."""

import asyncio
import concurrent.futures
import io
import json
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from pycocotools import mask as coco_mask

from export.serving import bad_requests, limits, model, service
from tests.export.serving import asgi, stub

BOUNDS = limits.Limits(
    body_bytes=60_000, instances=4, image_pixels=10_000, request_pixels=25_000, queue_pixels=50_000, requests=8
)
OPTIONS = service.Options(batch_size=4, batch_seconds=0.02, bounds=BOUNDS)
KINDS = bad_requests.kinds(BOUNDS)


@pytest.fixture(scope='module')
def loaded(tmp_path_factory: pytest.TempPathFactory) -> model.Model:
    return model.Model(model.find(stub.save(tmp_path_factory.mktemp('stub'))))


@pytest.fixture(scope='module')
def server(loaded: model.Model) -> Iterator[asgi.Server]:
    made = asgi.Server(lambda: loaded, OPTIONS)
    yield made
    made.close()


class Pretended:
    """A model that does as a test says."""

    kind, gives_masks, normalized, largest_batch = 'detection', False, False, None
    class_names, facts = ('background', 'apple'), {}

    def __init__(self, run: Any):
        self.run = run

    def decode(self, encoded: bytes) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(encoded)).convert('RGB'))


def nothing(images: Sequence[np.ndarray]) -> list[dict[str, np.ndarray]]:
    return [
        {'boxes': np.zeros([0, 4]), 'scores': np.zeros([0]), 'classes': np.zeros([0], np.int32)} for _ in images
    ]


def encoded(red: int, height: int = 20, width: int = 30, form: str = 'PNG') -> bytes:
    file = io.BytesIO()
    Image.new('RGB', (width, height), (red, 0, 0)).save(file, form)
    return file.getvalue()


GOOD = bad_requests.body(bad_requests.image(encoded(255)))


def test_every_form_of_an_instance(server: asgi.Server) -> None:
    png = encoded(102)
    text = bad_requests.text(png)
    example = tf.train.Example()
    example.features.feature['image/encoded'].bytes_list.value.append(png)
    as_example = bad_requests.text(example.SerializeToString())
    pixels = np.asarray(Image.open(io.BytesIO(png))).tolist()
    rows: tuple[tuple[Any, dict[str, Any]], ...] = (
        ({'image_bytes': {'b64': text}}, {}),
        ({'b64': text}, {}),
        ({'b64': text}, {'signature_name': 'image_bytes'}),
        ({'inputs': {'b64': text}}, {}),
        ({'tf_example': {'b64': as_example}}, {}),
        ({'b64': as_example}, {'signature_name': 'tf_example'}),
        ({'inputs': {'b64': as_example}}, {'signature_name': 'tf_example'}),
        ({'image_tensor': pixels}, {}),
        ({'inputs': pixels}, {'signature_name': 'image_tensor'}),
        (pixels, {}),
    )
    first = None
    for instance, more in rows:
        answer = server.send(bad_requests.body(instance, **more))
        assert answer.status == 200, answer.body
        [prediction] = answer.json['predictions']
        first = first or prediction
        assert prediction == first
    assert first is not None
    masks = [coco_mask.decode(mask) for mask in first.pop('detection_masks')]
    assert first == {
        'image_size': [20, 30],
        'num_detections': 2,
        'detection_boxes': [[0, 0, 20, 30], [10, 15, 20, 30]],
        'detection_scores': [0.4, 0.2],
        'detection_classes': [1, 2],
        'detection_class_names': ['apple', 'bread'],
        'detection_keypoints': [[[0, 0, 1], [20, 30, 0.4]]] * 2,
    }
    # The left half of each box, but for the border's pixels, where the mask fades.
    for mask, inside, beyond in ((masks[0], (2, 18, 2, 14), 16), (masks[1], (12, 18, 17, 21), 24)):
        top, bottom, left, right = inside
        assert mask[top:bottom, left:right].all() and not mask[:, beyond:].any()
    assert not masks[1][:9].any() and not masks[1][:, :14].any()


@pytest.mark.parametrize('form', ['JPEG', 'BMP', 'GIF'])
def test_every_format(server: asgi.Server, form: str) -> None:
    [found] = server.send(bad_requests.body(bad_requests.image(encoded(255, form=form)))).json['predictions']
    assert found['image_size'] == [20, 30]
    assert found['detection_scores'][0] == pytest.approx(1, abs=0.01)


def test_parameters(server: asgi.Server) -> None:
    def ask(**parameters: Any) -> dict[str, Any]:
        answer = server.send(bad_requests.body(bad_requests.image(encoded(255)), parameters=parameters))
        assert answer.status == 200, answer.body
        return answer.json['predictions'][0]

    assert ask(score_threshold=0.5)['detection_scores'] == [1.0, 0.5]  # as high is enough
    assert ask(score_threshold=0.51)['detection_scores'] == [1.0]
    assert ask(score_threshold=None, max_detections=1)['detection_classes'] == [1]
    assert 'detection_masks' not in ask(masks='none')
    nothing_found = server.send(
        bad_requests.body(bad_requests.image(encoded(10)), parameters={'score_threshold': 1, 'masks': 'polygons'})
    ).json['predictions'][0]
    assert nothing_found['num_detections'] == 0 and nothing_found['detection_masks'] == []
    [polygons, *_] = ask(masks='polygons')['detection_masks']
    assert len(polygons) == 1 and len(polygons[0]) >= 6 and max(polygons[0][::2]) <= 15


def test_there_are_forty_kinds() -> None:
    assert len(KINDS) >= 40
    assert len({bad.name for bad in KINDS}) == len(KINDS)
    assert all(400 <= bad.status < 500 for bad in KINDS)
    assert {400, 413, 415, 422} <= {bad.status for bad in KINDS}


@pytest.mark.parametrize('bad', KINDS, ids=lambda bad: bad.name)
def test_bad_requests_are_refused(server: asgi.Server, bad: bad_requests.BadRequest) -> None:
    answer = server.send(bad.body, bad.headers, bad.method, bad.path or '/predict')
    assert answer.status == bad.status, answer.body
    assert answer.error['code'] == bad.status and answer.error['reason']
    assert bad.told in answer.error['message']
    assert server.served.open == 0 and server.served.room.taken == 0
    if bad.status == 413:
        assert answer.error['value'] > answer.error['limit']


def test_good_requests_among_bad_ones(server: asgi.Server) -> None:
    """At the same time, in batches that are shared: each gets its own answer."""
    reds = [number * 5 for number in range(40)]

    def ask(red: int) -> None:
        bad = KINDS[red % len(KINDS)]
        answer = server.send(bad_requests.body(bad_requests.image(encoded(red, 10 + red % 7, 10 + red % 5))))
        refused = server.send(bad.body, bad.headers, bad.method, bad.path or '/predict')
        assert refused.status == bad.status
        assert answer.status == 200, answer.body
        [found] = answer.json['predictions']
        assert found['image_size'] == [10 + red % 7, 10 + red % 5]
        assert found['detection_scores'][0] == pytest.approx(red / 255, abs=1e-4)

    assert server.served.batcher
    server.served.batcher.sizes.clear()
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(ask, reds))
    sizes = server.served.batcher.sizes
    assert sum(size * count for size, count in sizes.items()) == 40
    assert max(sizes) > 1 and max(sizes) <= 4


def test_not_before_it_is_loaded() -> None:
    may = threading.Event()

    def load() -> Pretended:
        may.wait(20)
        return Pretended(nothing)

    made = asgi.Server(load, OPTIONS, start=False)
    loading = asyncio.run_coroutine_threadsafe(made.app._load(), made.loop)
    for answer in (made.send(method='GET', path='/health'), made.send(GOOD)):
        assert answer.status == 503 and answer.headers['retry-after'] == '5'
        assert 'being loaded; try again' in answer.error['message']
    may.set()
    loading.result(20)
    assert made.send(method='GET', path='/health').json == {'status': 'ready'}
    assert made.send(method='HEAD', path='/health').body == b''
    assert made.send(GOOD).json['predictions'][0]['num_detections'] == 0
    assert made.log[-1]['message'] == 'POST /predict 200'
    made.wait(made.served.stop())
    assert made.send(GOOD).error['reason'] == 'stopping'
    made.close()


def test_a_model_that_cannot_be_loaded() -> None:
    def load() -> Any:
        raise OSError('no such bucket')

    made = asgi.Server(load)
    assert [str(error) for error in made.failures] == ['no such bucket']
    assert made.send(method='GET', path='/health').error['reason'] == 'failed'
    made.close()


def test_the_queue_is_bounded() -> None:
    """In requests and in pixels; who is refused is told to come again, and who waits is answered."""
    may = threading.Event()

    def run(images: Sequence[np.ndarray]) -> list[dict[str, np.ndarray]]:
        may.wait(20)
        return nothing(images)

    made = asgi.Server(lambda: Pretended(run), OPTIONS)
    large = bad_requests.body(*[bad_requests.image(encoded(9, 100, 100))] * 2)
    waiting = [asyncio.run_coroutine_threadsafe(made.sending(large), made.loop) for _ in range(2)]
    _until(lambda: made.served.room.taken == 40_000)
    answer = made.send(large)  # 20,000 more than 50,000
    assert (answer.status, answer.error['reason'], answer.headers['retry-after']) == (503, 'queue_full', '1')
    assert '40,000 pixels are waiting already, of at most 50,000' in answer.error['message']
    small = bad_requests.body(bad_requests.image(encoded(9, 4, 4)))
    waiting += [asyncio.run_coroutine_threadsafe(made.sending(small), made.loop) for _ in range(6)]
    _until(lambda: made.served.open == 8)
    assert '8 requests are waiting already' in made.send(small).error['message']
    may.set()
    assert [one.result(20).status for one in waiting] == [200] * 8
    assert made.served.open == made.served.room.taken == 0
    made.close()


def _until(condition: Any) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_failure_is_the_image_s_own() -> None:
    """An image on which the model fails takes no other of its batch with it, and is told without details."""

    def run(images: Sequence[np.ndarray]) -> list[dict[str, np.ndarray]]:
        if any(image.max() == 13 for image in images):
            raise RuntimeError('secret of the house')
        found = nothing(images)
        for image, one in zip(images, found, strict=True):
            if image.max() == 14:
                one |= {'boxes': np.zeros([1, 4]), 'scores': np.array([np.nan]), 'classes': np.array([1])}
                one['boxes'][0, 0], one['scores'][0] = np.inf, 0.5
        return found

    made = asgi.Server(lambda: Pretended(run), OPTIONS)
    bodies = [bad_requests.body(bad_requests.image(encoded(red))) for red in (12, 13, 15)]
    asked = [asyncio.run_coroutine_threadsafe(made.sending(body), made.loop) for body in bodies]
    first, failed, last = (one.result(20) for one in asked)
    assert (first.status, failed.status, last.status) == (200, 500, 200)
    assert 'secret' not in failed.body.decode() and failed.headers['x-request-id'] in failed.error['message']
    [entry] = [entry for entry in made.log if entry.get('reason') == 'internal']
    assert 'secret of the house' in entry['stack_trace'] and entry['severity'] == 'ERROR'
    broken = made.send(bad_requests.body(bad_requests.image(encoded(14))))
    assert broken.status == 500 and 'NotFiniteError' in broken.error['message']
    assert made.served.open == made.served.room.taken == 0
    made.close()


def test_bodies_in_parts(server: asgi.Server) -> None:
    assert server.send([GOOD[:10], b'', GOOD[10:]]).status == 200
    too_large = server.send([b'{', *[b' ' * 20_000] * 5])
    assert too_large.status == 413 and too_large.error['value'] == 100_001
    assert too_large.headers['connection'] == 'close'
    told = {'content-type': 'application/json', 'content-length': '70000'}
    assert server.send([b'{}'], told).error['value'] == 70_000
    assert server.send([b'{}'], {**told, 'content-length': 'many'}).error['message'].startswith('Content-Length')
    assert server.send([GOOD[:10], None]).status == 0
    assert server.log[-1]['reason'] == 'client_gone' and server.log[-1]['httpRequest']['status'] == 499
    assert server.served.open == 0


def test_a_body_that_does_not_come(loaded: model.Model) -> None:
    bounds = limits.Limits(body_bytes=1000, body_seconds=0.05)
    made = asgi.Server(lambda: loaded, service.Options(bounds=bounds))

    async def slow(told: int) -> asgi.Answer:
        async def receive() -> dict[str, Any]:
            await asyncio.sleep(30)
            raise AssertionError

        sent: list[dict[str, Any]] = []

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        headers = [(b'content-type', b'application/json'), (b'content-length', str(told).encode())]
        scope = {'type': 'http', 'method': 'POST', 'path': '/predict', 'headers': headers, 'client': None}
        await made.app(scope, receive, send)
        return asgi.Answer(sent[0]['status'], {}, sent[1]['body'])

    assert made.wait(slow(100)).error['message'] == 'the body did not arrive within 0.05 seconds'
    assert made.wait(slow(5000)).status == 413
    made.close()


def test_the_access_log(server: asgi.Server) -> None:
    server.log.clear()
    headers = {'Content-Type': 'application/json; charset=UTF-8', 'User-Agent': 'curl/8', 'Authorization': 'Bearer x'}
    server.send(GOOD, headers)
    server.send(b'{', headers)
    server.send(method='GET', path='/health')
    good, bad = server.log  # health checks would drown the others
    request = good['httpRequest']
    assert good['severity'] == 'INFO' and good['instances'] == 1 and good['model_ms'] > 0
    assert request['requestMethod'] == 'POST' and request['status'] == 200 and request['remoteIp'] == '192.0.2.1'
    assert request['requestSize'] == str(len(GOOD)) and request['userAgent'] == 'curl/8'
    assert request['latency'].endswith('s') and float(request['latency'][:-1]) > 0
    assert bad['severity'] == 'WARNING' and bad['reason'] == 'malformed' and 'not JSON' in bad['refused']
    assert 'Bearer' not in json.dumps(server.log)


def test_lifespan_and_websockets(loaded: model.Model) -> None:
    made = asgi.Server(lambda: loaded, start=False)

    async def live() -> list[str]:
        came: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        sent: list[str] = []

        async def send(message: dict[str, Any]) -> None:
            sent.append(message['type'])

        await came.put({'type': 'lifespan.startup'})
        task = asyncio.create_task(made.app({'type': 'lifespan'}, came.get, send))
        while made.served.state != 'ready':
            await asyncio.sleep(0.01)
        assert (await made.sending(GOOD)).status == 200
        await came.put({'type': 'lifespan.shutdown'})
        await task
        await made.app({'type': 'websocket'}, came.get, send)
        return sent

    assert made.wait(live()) == ['lifespan.startup.complete', 'lifespan.shutdown.complete', 'websocket.close']
    assert made.served.state == 'stopping'
    made.close()


