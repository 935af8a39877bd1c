"""Apache Beam, where it is installed; without it the modules here import all the same, and say what is missing."""

from typing import Any

from official_rethink.common import errors

INSTALL = 'pip install --require-hashes --no-deps -r requirements-beam.lock'

DoFn: Any = object
ModelHandler: Any = object
try:
    import apache_beam
    from apache_beam.ml.inference import base

    AVAILABLE = True
    DoFn, ModelHandler = apache_beam.DoFn, base.ModelHandler
    if base.resource is None:
        # Beam forgets this module where its model manager, which nothing here uses, lacks a package of its own; it
        # then warns at every model that it cannot measure the memory.
        import resource

        base.resource = resource
except ModuleNotFoundError:
    AVAILABLE = False


def need() -> None:
    """Raises UserError where Beam is not installed."""
    if not AVAILABLE:
        raise errors.UserError(f'Apache Beam is not installed; `{INSTALL}`, over requirements.lock, brings it.')
