"""The same service behind Vertex AI's own prediction server, as a handler of a custom prediction routine.

HANDLER_MODULE=export.serving.vertex HANDLER_CLASS=Handler python -m google.cloud.aiplatform.prediction.model_server
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request, Response
from google.cloud.aiplatform.prediction import handler

from export.serving import application, limits, model, service


class Handler(handler.Handler):
    """Answers requests of CprModelServer."""

    def __init__(self, artifacts_uri: str, predictor: Any = None):
        """Loads the model; that server does not listen before.

        Args:
            artifacts_uri: AIP_STORAGE_URI, an export or its saved_model.
            predictor: unused; the SavedModel is its own.
        """
        loaded = model.Model(model.find(artifacts_uri))
        self._service = service.Service(lambda: loaded, service.Options())
        self._starting: asyncio.Task[None] | None = None

    async def handle(self, request: Request) -> Response:  # type: ignore[override]
        """Answers a request."""
        if self._starting is None:  # in the server's event loop, which is not there when it is made
            self._starting = asyncio.create_task(self._service.start())
        await self._starting
        notes: dict[str, Any] = {}
        try:
            body = await self._service.respond(request.headers, _parts(request), notes)
        except limits.Refusal as refusal:
            application.write_line({'severity': 'WARNING', 'message': refusal.message, 'reason': refusal.reason})
            body = service.encode(refusal.document())
            return Response(body, refusal.status, refusal.headers, service.JSON)
        application.write_line({'severity': 'INFO', 'message': 'predicted', **notes})
        return Response(body, media_type=service.JSON)


async def _parts(request: Request) -> AsyncIterator[bytes]:
    async for part in request.stream():
        yield part
