"""A bucket of Cloud Storage on this machine: TensorFlow's own gs:// file system, with these few lines for a server.

TensorFlow has Google's host names built in, so the server is a proxy: it takes the connections that `https_proxy` sends
it, shows a certificate of its own for Google's names, and answers the requests that the file system makes (the JSON
API's objects: get, list, insert, rewrite, delete; and reading ranges). Objects are bytes in a dictionary: what a
folder, a rename or an append is, the file system decides as it does with the real service.
"""

import contextlib
import datetime
import http.server
import json
import os
import pathlib
import re
import ssl
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

NAMES = ('www.googleapis.com', 'storage.googleapis.com')
_OBJECT = re.compile(r'^/storage/v1/b/([^/?]+)/o/([^/?]+)$')
_REWRITE = re.compile(r'^/storage/v1/b/([^/]+)/o/([^/]+)/rewriteTo/b/([^/]+)/o/([^/]+)$')
_LIST = re.compile(r'^/storage/v1/b/([^/?]+)/o$')
_BUCKET = re.compile(r'^/storage/v1/b/([^/?]+)$')
_UPLOAD = re.compile(r'^/upload/storage/v1/b/([^/?]+)/o$')


class Store:
    """The objects of all buckets.

    Attributes:
        objects: 'bucket/name' -> content, and a number that grows with each write.
        buckets: the names of those there are.
        uploads: 'bucket/name' -> what has arrived of an upload that is not done.
    """

    def __init__(self, *buckets: str):
        self.objects: dict[str, tuple[bytes, int]] = {}
        self.buckets = set(buckets)
        self.uploads: dict[str, bytes] = {}
        self.generation = 0
        self.lock = threading.Lock()

    def put(self, key: str, data: bytes) -> None:
        self.generation += 1
        self.objects[key] = (data, self.generation)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True
    store: Store
    context: ssl.SSLContext

    def log_message(self, *_: Any) -> None:
        pass

    def do_CONNECT(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.connection = self.context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile('rb'), self.connection.makefile('wb', 0)  # type: ignore[assignment]
        self.close_connection = False

    def _answer(self, code: int, body: bytes = b'', **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace('_', '-'), value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _json(self, value: Any) -> None:
        self._answer(200, json.dumps(value).encode(), Content_Type='application/json')

    def _handle(self) -> None:
        if self.headers.get('Transfer-Encoding') == 'chunked':
            data = b''
            while size := int(self.rfile.readline().split(b';')[0], 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            data = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        parts = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        with self.store.lock:
            self._route(parts.path, query, data)

    do_GET = do_POST = do_PUT = do_DELETE = _handle

    def _route(self, path: str, query: dict[str, str], data: bytes) -> None:
        store, plain = self.store, urllib.parse.unquote
        if self.headers.get('Host', '').startswith('storage.'):
            return self._read(plain(path.lstrip('/')))
        if self.command == 'POST' and (found := _UPLOAD.match(path)):
            key = f'{found[1]}/{query["name"]}'
            if query.get('uploadType') == 'resumable':
                store.uploads[key] = b''
                where = urllib.parse.urlencode({'upload_id': key})
                return self._answer(200, Location=f'https://{NAMES[0]}{path}?{where}')
            store.put(key, data)
            return self._json({'name': query['name']})
        if self.command == 'PUT' and _UPLOAD.match(path):
            return self._upload(query['upload_id'], data)
        if self.command == 'POST' and (found := _REWRITE.match(path)):
            source = f'{found[1]}/{plain(found[2])}'
            if source not in store.objects:
                return self._answer(404)
            store.put(f'{found[3]}/{plain(found[4])}', store.objects[source][0])
            return self._json({'done': True})
        if found := _LIST.match(path):
            return self._list(found[1], query)
        if found := _OBJECT.match(path):
            return self._object(f'{found[1]}/{plain(found[2])}')
        if found := _BUCKET.match(path):
            return self._json({'name': found[1], 'location': 'EU'}) if found[1] in store.buckets else self._answer(404)
        return self._answer(501)

    def _upload(self, key: str, data: bytes) -> None:
        """A part of a resumable upload, or the question how far it is."""
        store = self.store
        whole = self.headers.get('Content-Range', 'bytes */*').split('/')[1]
        store.uploads[key] = store.uploads.get(key, b'') + data
        done = len(store.uploads[key])
        if whole == '*' or done < int(whole):
            headers = {'Range': f'bytes=0-{done - 1}'} if done else {}
            return self._answer(308, **headers)
        store.put(key, store.uploads.pop(key))
        self._json({})

    def _read(self, key: str) -> None:
        if key not in self.store.objects:
            return self._answer(404)
        data = self.store.objects[key][0]
        first, _, last = self.headers.get('Range', 'bytes=0-').removeprefix('bytes=').partition('-')
        if int(first) >= len(data):
            return self._answer(416)
        self._answer(206, data[int(first) : int(last) + 1 if last else None])

    def _object(self, key: str) -> None:
        if key not in self.store.objects:
            return self._answer(404)
        if self.command == 'DELETE':
            del self.store.objects[key]
            return self._answer(204)
        data, generation = self.store.objects[key]
        self._json({'size': str(len(data)), 'generation': str(generation), 'updated': '2026-01-01T00:00:00.000Z'})

    def _list(self, bucket: str, query: dict[str, str]) -> None:
        if bucket not in self.store.buckets:
            return self._answer(404)
        prefix, delimiter = query.get('prefix', ''), query.get('delimiter', '')
        names, folders = [], set()
        for key in sorted(self.store.objects):
            name = key.removeprefix(f'{bucket}/')
            if not key.startswith(f'{bucket}/') or not name.startswith(prefix):
                continue
            rest = name[len(prefix) :]
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.split(delimiter)[0] + delimiter)
            else:
                names.append(name)
        most, start = int(query.get('maxResults', '1000')), int(query.get('pageToken', '0'))
        answer: dict[str, Any] = {'items': [{'name': name} for name in names[start : start + most]]}
        if start == 0:
            answer['prefixes'] = sorted(folders)
        if start + most < len(names):
            answer['nextPageToken'] = str(start + most)
        self._json(answer)


def _certificate(folder: pathlib.Path) -> None:
    """Writes a key and a certificate for Google's names that nobody but this process is told to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, 'bucket of a test')])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in NAMES]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / 'key.pem').write_bytes(text)
    (folder / 'certificate.pem').write_bytes(made.public_bytes(serialization.Encoding.PEM))


def _main(folder: pathlib.Path, *buckets: str) -> None:
    """Serves until standard input ends; the port is the first line printed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / 'certificate.pem', folder / 'key.pem')
    handler = type('Handler', (_Handler,), {'store': Store(*buckets), 'context': context})
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # until whoever started it has ended, however it did


@contextlib.contextmanager
def serve(folder: pathlib.Path, *buckets: str) -> Iterator[None]:
    """Serves buckets to this process and those it starts, for as long as the block lasts.

    The server is a process of its own: TensorFlow holds the interpreter's lock while it writes records.
    """
    _certificate(folder)
    command = [sys.executable, '-m', 'tests.bucket', str(folder), *buckets]
    root = pathlib.Path(__file__).parents[1]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        ours = {
            'https_proxy': f'http://127.0.0.1:{int(server.stdout.readline())}',
            'CURL_CA_BUNDLE': str(folder / 'certificate.pem'),
            'NO_GCE_CHECK': 'true',
            'CLOUDSDK_CONFIG': str(folder),  # no credentials of whoever runs the tests
        }
        before = {name: os.environ.get(name) for name in ours}
        os.environ.update(ours)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None) if value is None else os.environ.update({name: value})
            server.kill()


if __name__ == '__main__':
    _main(pathlib.Path(sys.argv[1]), *sys.argv[2:])
