"""How much a request may be, and how the server says no."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Limits:
    """What bounds the server's memory; each is checked before the memory is taken.

    Attributes:
        body_bytes: of a request.
        body_seconds: in which a request's body has to arrive.
        instances: of a request.
        image_pixels: of an image, height times width, as its header tells.
        request_pixels: of all images of a request.
        queue_pixels: of all images that are decoded or wait for the model; 3 bytes each.
        requests: that are worked on or wait at a time.
    """

    body_bytes: int = 10_000_000
    body_seconds: float = 30.0
    instances: int = 16
    image_pixels: int = 25_000_000
    request_pixels: int = 50_000_000
    queue_pixels: int = 100_000_000
    requests: int = 64


class Refusal(Exception):  # noqa: N818 (an answer, not a failure of the program)
    """An answer other than 200; its text tells a client what to change."""

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        instance: int | None = None,
        headers: dict[str, str] | None = None,
        **facts: Any,
    ):
        """Args: what the answer says.

        Args:
            status: of HTTP.
            reason: one word for programs.
            message: what is wrong, the value, what is allowed.
            instance: which of the request's, from 0.
            headers: further headers of the answer.
            **facts: further fields of the error, such as `limit` and `value`.
        """
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message
        self.instance, self.headers, self.facts = instance, headers or {}, facts

    def document(self) -> dict[str, Any]:
        """The answer's JSON."""
        place = {} if self.instance is None else {'instance': self.instance}
        return {'error': {'code': self.status, 'reason': self.reason, 'message': self.message, **place, **self.facts}}


def too_large(reason: str, what: str, value: int, limit: int, instance: int | None = None) -> Refusal:
    """What is over a limit."""
    return Refusal(413, reason, f'{what}; at most {limit:,} are allowed', instance, limit=limit, value=value)


def busy(reason: str, message: str, seconds: int = 1) -> Refusal:
    """What may work later."""
    return Refusal(503, reason, f'{message}; try again', headers={'retry-after': str(seconds)})
