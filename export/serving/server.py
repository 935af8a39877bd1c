"""Entry point: serves a SavedModel over HTTP, as Vertex AI asks of a container.

It listens at once, so that a liveness probe finds it, and answers 503 until the model is loaded. On SIGTERM it takes
no new connection, answers what it has begun, and ends with exit code 0.
"""

import argparse
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from export.serving import application, limits, model, service
from official_rethink.common import entry_point, errors, files

_EPILOG = """example:
  python -m export.serving.server --model=runs/student/export --port=8080

Vertex AI sets AIP_STORAGE_URI, AIP_HTTP_PORT, AIP_HEALTH_ROUTE and AIP_PREDICT_ROUTE; a flag is stronger.
docs/prediction_server.md says what to send."""

INSTALL = 'pip install --require-hashes --no-deps -r requirements-serving.lock'
EXIT_FAILED = 1
_FLAGS = {
    'body_bytes': 'of a request',
    'body_seconds': 'in which a body has to arrive',
    'instances': 'images of a request',
    'image_pixels': 'of an image, as its header tells',
    'request_pixels': 'of all images of a request',
    'queue_pixels': 'of all images that are worked on or wait',
    'requests': 'that are worked on or wait',
}


def _parse_args(argv: Sequence[str]) -> argparse.Namespace:
    parser = entry_point.Parser(
        prog='python -m export.serving.server', description=__doc__.split(': ', 1)[1], epilog=_EPILOG
    )
    add = parser.add_argument
    add('--model', help='an export, or its saved_model; local or gs:// (default: AIP_STORAGE_URI)')
    add('--host', default='0.0.0.0', help='where to listen (default: 0.0.0.0)')
    add('--port', help='default: AIP_HTTP_PORT, or 8080')
    add('--health_route', help='default: AIP_HEALTH_ROUTE, or /health')
    add('--predict_route', help='default: AIP_PREDICT_ROUTE, or /predict')
    add('--batch_size', type=int, default=8, help='images the model answers together, at most (default: 8)')
    add('--batch_ms', type=float, default=5.0, help='how long the first one waits for others (default: 5)')
    add('--shutdown_seconds', type=int, default=30, help='for what is open when it is told to stop (default: 30)')
    for name, words in _FLAGS.items():
        default = getattr(limits.Limits, name)
        add(f'--max_{name}', type=type(default), default=default, help=f'{words} (default: {default:,})')
    return parser.parse_args(argv)


def settings(args: argparse.Namespace, environment: Mapping[str, str]) -> dict[str, Any]:
    """What flags, and where they are silent the AIP_* variables, say: model, port, health, predict, options.

    Raises:
        UserError: nothing says what to serve, or a value is not allowed.
    """
    found: dict[str, Any] = {}
    for name, variable, default in (
        ('model', 'AIP_STORAGE_URI', ''),
        ('port', 'AIP_HTTP_PORT', '8080'),
        ('health_route', 'AIP_HEALTH_ROUTE', '/health'),
        ('predict_route', 'AIP_PREDICT_ROUTE', '/predict'),
    ):
        given = getattr(args, name)
        found[name] = given if given is not None else environment.get(variable) or default
        where = f'--{name}' if given is not None else variable
        if name == 'port' and not (found[name].isdecimal() and 1 <= int(found[name]) <= 65535):
            raise errors.bad_value(name, found[name], 'a whole number from 1 to 65535', where)
        if 'route' in name and not found[name].startswith('/'):
            raise errors.bad_value(name, found[name], "a path that begins with '/'", where)
    if not found['model']:
        raise errors.UserError('nothing says what to serve; name an export with --model, or in AIP_STORAGE_URI.')
    if found['health_route'] == found['predict_route']:
        raise errors.bad_value('predict_route', found['predict_route'], 'another route than the health checks have')
    return {**found, 'port': int(found['port']), 'options': options(args)}


def options(args: argparse.Namespace) -> service.Options:
    """Batching and limits as flags say.

    Raises:
        UserError: one is not allowed.
    """
    for name in ('batch_size', 'shutdown_seconds', *(f'max_{name}' for name in _FLAGS)):
        if not getattr(args, name) > 0:
            raise errors.bad_value(name, getattr(args, name), 'over 0', f'--{name}')
    if not 0 <= args.batch_ms <= 10_000:
        raise errors.bad_value('batch_ms', args.batch_ms, '0 to 10000', '--batch_ms')
    bounds = limits.Limits(**{name: getattr(args, f'max_{name}') for name in _FLAGS})
    if not bounds.image_pixels <= bounds.request_pixels <= bounds.queue_pixels:
        raise errors.UserError(
            f'max_image_pixels {bounds.image_pixels}, max_request_pixels {bounds.request_pixels} and max_queue_pixels '
            f'{bounds.queue_pixels} have to rise, for an image is part of a request and a request of the queue.'
        )
    return service.Options(args.batch_size, args.batch_ms / 1000, bounds)


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    args = _parse_args(argv)
    asked = settings(args, os.environ)
    path = asked['model']
    if not files.is_remote(path):
        path = model.find(path)  # a wrong path is told before anything listens
    try:
        import uvicorn  # noqa: PLC0415 (of the extra)
    except ModuleNotFoundError:
        raise errors.UserError(f'uvicorn is not installed; {INSTALL}.') from None

    listening = _listen(args.host, asked['port'])
    problems: list[BaseException] = []

    def failed(error: BaseException) -> None:
        problems.append(error)
        server.should_exit = True

    served = service.Service(lambda: model.Model(model.find(path)), asked['options'])
    app = application.Application(served, asked['health_route'], asked['predict_route'], failed=failed)
    config = uvicorn.Config(
        app,
        # This one bounds the size of a request's line and headers; httptools, which `auto` takes, does not.
        http='h11',
        h11_max_incomplete_event_size=65_536,
        ws='none',
        # Longer than Google's load balancers keep a connection, which else send into one that is being closed.
        timeout_keep_alive=620,
        access_log=False,
        log_level='warning',
        server_header=False,
        lifespan='on',
        timeout_graceful_shutdown=args.shutdown_seconds,
    )
    server = uvicorn.Server(config)
    # uvicorn sends itself the signal again when it is done; the process is to end as one that did its work.
    signal.signal(signal.SIGTERM, lambda *_: None)
    application.write_line({'severity': 'INFO', 'message': f'listening on {args.host}:{asked["port"]}', 'model': path})
    server.run([listening])
    return _end(problems, served)


def _listen(host: str, port: int) -> socket.socket:
    """Opens the port.

    Raises:
        UserError: it cannot be had.
    """
    try:
        family = socket.AF_INET6 if ':' in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        raise errors.UserError(f'port {port} of {host!r} cannot be listened on: {error}.') from None


def _end(problems: Sequence[BaseException], served: service.Service) -> int:
    """The exit code; a process that still loads its model is ended here, for its thread cannot be."""
    code = 0
    for problem in problems:
        code = entry_point.EXIT_USER_ERROR if isinstance(problem, errors.UserError) else EXIT_FAILED
        sys.stderr.write(f'error: the model cannot be loaded: {problem}\n')
    application.write_line({'severity': 'ERROR' if code else 'INFO', 'message': f'stopped, exit code {code}'})
    if served.model is None:
        sys.stderr.flush()
        os._exit(code)
    return code


if __name__ == '__main__':
    entry_point.run(main)
