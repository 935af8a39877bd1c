"""Beam's own options: unknown ones are named, and what Dataflow needs is asked for before anything is paid."""

import dataclasses
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from export.large_scale import beam
from export.vertex import settings
from official_rethink.common import entry_point, errors

LOCAL = ('FnApiRunner', 'DirectRunner')
DATAFLOW = 'DataflowRunner'
_WHERE = 'after --'
# A worker's process works on one shard at a time with all cores; several would each hold a teacher and a shard.
_ONE_AT_A_TIME = 'no_use_multiple_sdk_containers'
_IMAGE = re.compile(r'[\w-]+(\.[\w-]+)+(:\d+)?(/[\w.-]+)+(:[\w.-]+|@sha256:[0-9a-f]{64})?')
_PATHS = ('checkpoint', 'input', 'output_dir')


@dataclasses.dataclass(frozen=True)
class Chosen:
    """What the pipeline is run by.

    Attributes:
        runner: its name.
        options: Beam's PipelineOptions.
        notes: what was filled in, in words.
    """

    runner: str
    options: Any
    notes: tuple[str, ...] = ()

    @property
    def remote(self) -> bool:
        """Whether other machines do the work."""
        return self.runner not in LOCAL


def choose(argv: Sequence[str]) -> Chosen:
    """Reads and checks the options.

    Args:
        argv: what follows after --.

    Raises:
        UserError: Beam is missing, an option is unknown or has a value that is not allowed, or one is missing.
    """
    beam.need()
    from apache_beam.options import pipeline_options  # noqa: PLC0415

    given = _parsed(argv, pipeline_options)
    runner = (given['runner'] or LOCAL[0]).rpartition('.')[2]
    runner = next((name for name in (*LOCAL, DATAFLOW) if name.lower() == runner.lower()), runner)
    if runner in LOCAL:
        # Each process that is started would warn of what a pipeline without schemas does not need.
        logging.getLogger('apache_beam.runners.portability.local_job_service').setLevel(logging.ERROR)
        # By the name DirectRunner Beam would look for Prism, a program that it downloads.
        options = pipeline_options.PipelineOptions([*argv], runner=LOCAL[0])
        _check_workers(given)
        return Chosen(LOCAL[0], options)
    if runner != DATAFLOW:
        return Chosen(runner, pipeline_options.PipelineOptions([*argv]))
    _check_dataflow(given)
    more, notes = _defaults(given)
    return Chosen(runner, pipeline_options.PipelineOptions([*argv, *more]), notes)


class _Parser(entry_point.Parser):
    def add_value_provider_argument(self, *names: str, **kinds: Any) -> None:
        """What a template would be given later is given now."""
        self.add_argument(*names, **kinds)


def _parsed(argv: Sequence[str], pipeline_options: Any) -> dict[str, Any]:
    parser = _Parser(prog='Beam')
    for options in {str(one): one for one in pipeline_options.PipelineOptions.__subclasses__()}.values():
        options._add_argparse_args(parser)
    found, unknown = parser.parse_known_args(list(argv))
    if unknown:
        known = {option for action in parser._actions for option in action.option_strings}
        guess = errors.nearest(unknown[0].split('=')[0], known)
        hint = f"did you mean '{guess}'? " if guess else ''
        raise errors.bad_value('the Beam option', unknown[0], f'{hint}an option of Beam itself', _WHERE)
    return vars(found)


def _check_workers(given: dict[str, Any]) -> None:
    if given['direct_num_workers'] < 0:
        raise errors.bad_value('--direct_num_workers', given['direct_num_workers'], '0 (one a core) or more', _WHERE)
    if given['direct_num_workers'] != 1 and given['direct_running_mode'] != 'multi_processing':
        allowed = 'multi_processing, for threads of one process would wait for one another'
        raise errors.bad_value('--direct_running_mode', given['direct_running_mode'], allowed, _WHERE)


def _check_dataflow(given: dict[str, Any]) -> None:
    """Project, region, a bucket for what is staged, and the image that workers run: Beam, TensorFlow and this code."""
    image = given['sdk_container_image'] or ''
    needed = ('project', 'region', 'temp_location', 'sdk_container_image')
    missing = [f'--{name}' for name in needed if not given[name]]
    if missing:
        raise errors.UserError(
            f'Dataflow needs {", ".join(missing)} {_WHERE}: the project, a region, a folder of Cloud Storage, and an '
            'image with Beam, requirements.lock and this code (see docs/label_at_scale.md).'
        )
    settings.check_place(given['project'], given['region'])
    settings.check_folder('--temp_location', given['temp_location'])
    allowed = 'an image in a registry, such as us-docker.pkg.dev/my-project/ml/rethink-beam:1'
    settings.check_pattern('--sdk_container_image', image, _IMAGE, allowed)
    name = given['job_name']
    if name and not re.fullmatch(r'[a-z]([-a-z0-9]*[a-z0-9])?', name):
        raise errors.bad_value('--job_name', name, 'small letters, digits and inner -, a letter first', _WHERE)
    if given['streaming']:
        raise errors.bad_value('--streaming', True, 'a batch job, without it', _WHERE)


def _defaults(given: dict[str, Any]) -> tuple[list[str], tuple[str, ...]]:
    more, experiments = [], given['experiments'] or []
    if not given['number_of_worker_harness_threads']:
        more.append('--number_of_worker_harness_threads=1')
    if _ONE_AT_A_TIME not in experiments and 'use_multiple_sdk_containers' not in experiments:
        more.append(f'--experiments={_ONE_AT_A_TIME}')
    if given['sdk_location'] in (None, 'default'):
        more.append('--sdk_location=container')
    return more, (f'for Dataflow {" ".join(more)} is added.',) if more else ()


def check_cloud(runner: str, paths: Mapping[str, str]) -> None:
    """Refuses paths, by the flags that set them, which Dataflow's workers do not see; other runners are not checked."""
    for flag, path in paths.items():
        if runner == DATAFLOW and not path.startswith('gs://'):
            raise errors.bad_value(flag, path, 'a path of Cloud Storage, gs://…, for Dataflow')


def check_paths(runner: str, flags: dict[str, Any], params: Any, needs_data: bool) -> None:
    """Refuses paths that Dataflow's workers do not see, and devices that they do not have.

    Args:
        runner: its name; others than Dataflow are not checked.
        flags: the command's.
        params: the teacher's config.
        needs_data: whether a worker reads the description of the teacher's data, for its key points.
    """
    check_cloud(runner, {f'--{name}': flags[name] for name in _PATHS})
    if runner != DATAFLOW:
        return
    data = params.task.train_data.input_path
    if needs_data and not data.startswith('gs://'):
        allowed = 'a path of Cloud Storage for Dataflow, since workers read the key points there'
        raise errors.bad_value('task.train_data.input_path', data, allowed)
    if params.runtime.distribution_strategy == 'tpu':
        raise errors.bad_value('runtime.distribution_strategy', 'tpu', 'mirrored or one_device, on Dataflow')
