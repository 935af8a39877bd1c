"""The job service of Vertex AI over its REST interface: create, find, look, cancel; each may be tried again.

A call that gets no answer is not a call that did nothing. So a job is created under a label of its own, and
looked for by it before it is created once more.
"""

import random
import time
import urllib.parse
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from export.vertex import settings, spec
from official_rethink.common import errors, progress

_SCOPES = ('https://www.googleapis.com/auth/cloud-platform',)
_LOOPBACK = ('127.0.0.1', 'localhost', '::1')
_TIMEOUT = (20, 60)  # seconds: to connect, and for the answer
_PASSING = (408, 429, 500, 502, 503, 504)
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0  # seconds between two tries
_JITTER = 0.2


class LostError(Exception):
    """A call without an answer, or with one that says to try again later; the text says which."""


class RefusedError(Exception):
    """A call that the service refused for good.

    Attributes:
        status: the HTTP status.
        reason: the service's words.
    """

    def __init__(self, status: int, reason: str):
        super().__init__(f'{reason} (HTTP {status})')
        self.status, self.reason = status, reason


def endpoint(region: str, given: str = '') -> str:
    """Returns the address of the service.

    Args:
        region: decides it, if none is given.
        given: another one, such as that of a private connection; without encryption only on this machine.

    Raises:
        UserError: the one given is no address, or would send the credentials in the clear.
    """
    if not given:
        return f'https://{region}-aiplatform.googleapis.com'
    parts = urllib.parse.urlsplit(given)
    if parts.scheme == 'https' and parts.netloc:
        return given.rstrip('/')
    if parts.scheme == 'http' and parts.hostname in _LOOPBACK:
        return given.rstrip('/')
    raise errors.bad_value('--api_endpoint', given, 'https://…, or http:// of this machine (127.0.0.1)')


def session(address: str) -> Any:
    """Returns an HTTP session with the user's credentials; none are sent to an address of this machine.

    Raises:
        UserError: there are no credentials.
    """
    import requests  # noqa: PLC0415

    if address.startswith('http://'):
        local = requests.Session()
        local.trust_env = False  # no proxy, no .netrc
        return local
    import google.auth  # noqa: PLC0415
    import google.auth.exceptions  # noqa: PLC0415
    import google.auth.transport.requests as transport  # noqa: PLC0415

    try:
        credentials, _ = google.auth.default(scopes=_SCOPES)
    except google.auth.exceptions.DefaultCredentialsError as error:
        raise errors.UserError(
            f'no Google Cloud credentials: {error} `gcloud auth application-default login` makes them.'
        ) from error
    return transport.AuthorizedSession(credentials)


class Client:
    """Calls the service, again and again while an answer may still come."""

    def __init__(
        self,
        address: str,
        http: Any,
        patience: float,
        say: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
    ):
        """Sets it up.

        Args:
            address: of the service.
            http: a session, as `session` gives it.
            patience: seconds to go on trying without an answer.
            say: shows a line to the user.
            sleep: waits, in seconds: a second before the second try, then twice as long each time, a minute at most.
        """
        self._address, self._http, self._patience = address, http, patience
        self._say, self._sleep = say, sleep

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Makes one call and returns its answer.

        Raises:
            LostError: no answer, or one that asks to come back.
            RefusedError: the service will not do it.
            UserError: the credentials are not valid any more.
        """
        import google.auth.exceptions as auth  # noqa: PLC0415
        import requests  # noqa: PLC0415

        try:
            answer = self._http.request(
                method, f'{self._address}/v1/{path}', json=body, params=query, timeout=_TIMEOUT
            )
            found = answer.json() if answer.content else {}
        except auth.RefreshError as error:
            raise errors.UserError(f'the credentials were refused: {error}') from error
        except (requests.exceptions.RequestException, auth.TransportError) as error:
            # JSON that breaks off is one of these too.
            raise LostError(_words(error)) from error
        if answer.status_code == 200 and isinstance(found, dict):
            return found
        reason = _reason(found) or answer.reason or 'no reason given'
        # A quota that does not hold a new job will not hold it in a minute; of looks, there were just too many.
        exhausted = answer.status_code == 429 and bool(body)
        if answer.status_code in _PASSING and not exhausted:
            raise LostError(f'{reason} (HTTP {answer.status_code})')
        raise RefusedError(answer.status_code, reason)

    def steadily(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """As `call`, tried again until there is an answer; for calls that may be made twice.

        Raises:
            LostError: no answer for as long as the patience lasts.
        """
        retry = self._retry()
        while True:
            try:
                found = self.call(method, path, body, query)
            except LostError as error:
                retry.wait(error)
            else:
                retry.end()
                return found

    def _retry(self) -> '_Retry':
        return _Retry(self._patience, self._sleep, self._say)

    def create(self, job: spec.Job) -> str:
        """Creates a job, once, and returns its name.

        Raises:
            LostError: no answer for as long as the patience lasts; the text says how to find out.
            RefusedError: the service refuses it.
        """
        mark = uuid.uuid4().hex
        labels = {**job.body.get('labels', {}), settings.SUBMISSION: mark}
        path, body = f'{job.parent}/{job.collection}', {**job.body, 'labels': labels}
        retry = self._retry()
        try:
            return self._create(path, body, mark, retry)
        except LostError as error:
            raise LostError(
                f'{error} Whether the job exists is not known: it would have the label {settings.SUBMISSION}={mark}.'
            ) from error
        except KeyboardInterrupt:
            self._say(f'interrupted; if the job exists already, it has the label {settings.SUBMISSION}={mark}.')
            raise

    def _create(self, path: str, body: Mapping[str, Any], mark: str, retry: '_Retry') -> str:
        while True:
            try:
                if retry.waited:
                    # It may be there, though its answer never came.
                    found = self._find(path, mark)
                    if found:
                        break
                name = str(self.call('POST', path, body)['name'])
                if not retry.waited:
                    return name
                found = self._find(path, mark) or [{'name': name}]
                break
            except LostError as error:
                retry.wait(error)
        retry.end()
        first, *others = found
        for other in others:
            # An earlier request came through after all, when it had been given up.
            self._say(f'{other["name"]} is the same job made a second time; cancelling it.')
            try:
                self.cancel(other['name'])
            except RefusedError as error:
                self._say(f'{other["name"]} cannot be cancelled: {error}')
        return str(first['name'])

    def _find(self, path: str, mark: str) -> list[dict[str, Any]]:
        """The jobs of a submission, the oldest first."""
        collection = path.rsplit('/', 1)[1]
        found = self.call('GET', path, query={'filter': f'labels.{settings.SUBMISSION}={mark}', 'pageSize': '10'})
        return sorted(found.get(collection, []), key=lambda one: (one.get('createTime', ''), one['name']))

    def get(self, name: str) -> dict[str, Any]:
        """Returns a job as it stands."""
        return self.steadily('GET', name)

    def cancel(self, name: str) -> None:
        """Asks to cancel a job; that it is cancelled shows in its state later."""
        self.steadily('POST', f'{name}:cancel', {})


class _Retry:
    """Waits between tries, longer each time, and says when the connection is lost and when it is back."""

    def __init__(self, patience: float, sleep: Callable[[float], None], say: Callable[[str], None]):
        self._patience, self._sleep, self._say = patience, sleep, say
        self._next = _FIRST_WAIT
        self.waited = 0.0  # seconds, since the first failure

    def wait(self, error: LostError) -> None:
        """Waits after a failure.

        Raises:
            LostError: the patience is at its end.
        """
        if self.waited >= self._patience:
            raise LostError(f'no answer for {progress.duration(self.waited)}: {error}.') from error
        if not self.waited:
            self._say(f'no answer: {error}; trying again for {progress.duration(self._patience)}.')
        seconds = min(self._next * random.uniform(1 - _JITTER, 1 + _JITTER), self._patience - self.waited + 1e-3)
        self._sleep(seconds)
        self.waited += seconds
        self._next = min(2 * self._next, _LONGEST_WAIT)

    def end(self) -> None:
        """Says that an answer came, if it was waited for."""
        if self.waited:
            self._say(f'answered again, after {progress.duration(self.waited)}.')


def _reason(found: Any) -> str:
    error = found.get('error', {}) if isinstance(found, dict) else {}
    status = f"{error['status']}: " if error.get('status') else ''
    return f"{status}{error['message']}" if error.get('message') else ''


def _words(error: Exception) -> str:
    """A network error in a few words; those of the libraries hold addresses of objects."""
    text = str(error).lower()
    for sign, words in (
        ('timed out', 'the service did not answer in time'),
        ('timeout', 'the service did not answer in time'),
        ('refused', 'the connection was refused'),
        ('reset', 'the connection was reset'),
        ('aborted', 'the connection was closed'),
        ('disconnected', 'the connection was closed'),
        ('resolve', 'its name could not be resolved'),
        ('expecting value', 'the answer was not JSON'),
        ('unterminated', 'the answer broke off'),
        ('expecting', 'the answer broke off'),
        ('incompleteread', 'the answer broke off'),
        ('broken', 'the answer broke off'),
    ):
        if sign in text:
            return words
    return f'{type(error).__name__}'
