"""Apache Beam, where it is installed; without it the modules here import all the same, and say what is missing."""

import logging
from typing import Any

from official_rethink.common import errors, stopping

INSTALL = 'pip install --require-hashes --no-deps -r requirements-beam.lock'

DoFn: Any = object
ModelHandler: Any = object


def _is_news(record: logging.LogRecord) -> bool:
    return 'apitools not found' not in record.getMessage()


# Beam warns that BigQuery cannot be used, for lack of a package, and nothing here does.
logging.getLogger().addFilter(_is_news)
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
finally:
    logging.getLogger().removeFilter(_is_news)


def need() -> None:
    """Raises UserError where Beam is not installed."""
    if not AVAILABLE:
        raise errors.UserError(f'Apache Beam is not installed; `{INSTALL}`, over requirements.lock, brings it.')


def run(pipeline: Any) -> str:
    """Runs a pipeline to its end; returns the state it ended in, such as 'DONE'.

    A signal that ends the command may come while a step runs in this process. It is noted, and the step ends where it
    calls `check_signals`. Beam would then tell of a failed step, at length; the signal is raised as it came.
    """
    logger, signals, hold = logging.getLogger('apache_beam.runners.common'), _NoSignals(), stopping.Hold()
    logger.addFilter(signals)
    given = pipeline.options.get_all_options()
    if given['runner'] == 'FnApiRunner' and given['direct_running_mode'] == 'in_memory':
        hold.take()
    try:
        state = str(pipeline.run().wait_until_finish())
        check_signals()
        return state
    except Exception as error:
        signal = _signal_in(error)
        if signal is None:
            raise
        raise signal from None
    finally:
        hold.free()
        logger.removeFilter(signals)


def check_signals() -> None:
    """Raises `Stopped` if this process was told to end; a step calls it as often as it can end without a loss."""
    if number := stopping.requested():
        raise stopping.Stopped(number)


class _NoSignals(logging.Filter):
    """Keeps what is said of failed steps, but not of those that a signal ended."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is told."""
        return not (isinstance(record.exc_info, tuple) and _signal_in(record.exc_info[1]))


def _signal_in(error: BaseException | None) -> BaseException | None:
    """The signal that an exception was made of, if it was."""
    while error is not None and not isinstance(error, (KeyboardInterrupt, stopping.Stopped)):
        error = error.__context__
    return error
