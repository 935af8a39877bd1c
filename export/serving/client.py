"""An example of a client: sends pictures to a prediction server and prints what it finds. Python alone is enough."""

import base64
import http.client
import json
import sys
import time
import urllib.parse
from collections.abc import Sequence
from typing import Any

from official_rethink.common import entry_point, errors

_TRIES, _WAIT = 5, 1.0


class Client:
    """A connection that is kept; busy servers are asked again.

    Attributes:
        path: the route of predictions.
        reopened: how often the server had closed the connection when a request was sent.
    """

    def __init__(self, url: str, seconds: float = 60.0):
        """Args: whom to ask.

        Args:
            url: 'http://host:port', with the route of predictions if it is not /predict.
            seconds: for an answer.

        Raises:
            UserError: this is no address.
        """
        parts = urllib.parse.urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ('http', 'https') or not parts.hostname or port == -1:
            raise errors.bad_value('url', url, 'http://host:port', '--url')
        kind = http.client.HTTPSConnection if parts.scheme == 'https' else http.client.HTTPConnection
        self._connection = kind(parts.hostname, port, timeout=seconds)
        self.path = parts.path.rstrip('/') or '/predict'
        self.reopened = 0

    def send(
        self, body: bytes, headers: dict[str, str] | None = None, method: str = 'POST', path: str = ''
    ) -> tuple[int, bytes]:
        """Sends one request; returns status and body. A connection that the server has closed is opened anew."""
        given = {'content-type': 'application/json'} if headers is None else headers
        for again in (True, False):
            try:
                self._connection.request(method, path or self.path, body, given)
                answer = self._connection.getresponse()
                return answer.status, answer.read()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self._connection.close()
                if not again:
                    raise
                self.reopened += 1
            except (OSError, http.client.HTTPException):
                self._connection.close()  # it would take no other request
                raise
        raise AssertionError

    def predict(self, images: Sequence[bytes], **parameters: Any) -> list[dict[str, Any]]:
        """Asks about encoded images.

        Args:
            images: JPEG, PNG, BMP or GIF files.
            **parameters: such as score_threshold=0.5.

        Returns:
            A prediction for each.

        Raises:
            UserError: the server refuses; its reason.
        """
        instances = [{'image_bytes': {'b64': base64.b64encode(image).decode('ascii')}} for image in images]
        body = json.dumps({'instances': instances, 'parameters': parameters}).encode()
        for left in reversed(range(_TRIES)):
            status, answer = self.send(body)
            if status == 200:
                return json.loads(answer)['predictions']
            if status != 503 or not left:
                raise errors.UserError(f'the server answers {status}: {reason(answer)}')
            time.sleep(_WAIT)
        raise AssertionError

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


def reason(answer: bytes) -> str:
    """What a refusal says."""
    try:
        return json.loads(answer)['error']['message']
    except (ValueError, KeyError, TypeError):
        return answer[:200].decode('utf-8', 'replace')


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    parser = entry_point.Parser(prog='python -m export.serving.client', description=__doc__.split(': ', 1)[1])
    parser.add_argument('--url', required=True, help='http://host:port of the server')
    parser.add_argument('--parameter', action='append', default=[], help='name=value, such as score_threshold=0.5')
    parser.add_argument('--image', action='append', required=True, help='a picture; repeatable')
    args = parser.parse_args(argv)
    parameters = dict(_parameter(given) for given in args.parameter)
    try:
        data = []
        for path in args.image:
            with open(path, 'rb') as file:
                data.append(file.read())
        found = Client(args.url).predict(data, **parameters)
    except OSError as error:
        raise errors.UserError(f'{error}.') from None
    for path, prediction in zip(args.image, found, strict=True):
        sys.stdout.write(f'{path}: {json.dumps(prediction, ensure_ascii=False)}\n')
    return 0


def _parameter(given: str) -> tuple[str, Any]:
    name, equals, value = given.partition('=')
    if not equals:
        raise errors.bad_value('parameter', given, 'name=value', '--parameter')
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


if __name__ == '__main__':
    entry_point.run(main)
