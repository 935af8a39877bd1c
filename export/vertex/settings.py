"""Checks of a job's own settings: places, names, times, labels, variables."""

import re
from collections.abc import Sequence

from official_rethink.common import cluster, errors

_BUCKET = re.compile(r'gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/[^\s]*)?')
_MOUNT = re.compile(r'/gcs/[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]/[^\s]+')
_REGION = re.compile(r'[a-z]+-[a-z]+\d+')
_PROJECT = re.compile(r'[a-z][a-z0-9.:-]{4,61}[a-z0-9]|\d+')
_NETWORK = re.compile(r'projects/\d+/global/networks/[a-z][a-z0-9-]{0,62}')
_ACCOUNT = re.compile(r'[\w.-]+@[\w.-]+\.gserviceaccount\.com')
_IMAGE = re.compile(r'[a-z0-9][a-z0-9.-]*(:\d+)?(/[a-z0-9][\w.-]*)+(:[\w.-]+|@sha256:[0-9a-f]{64})?')
_LABEL_KEY, _LABEL_VALUE = re.compile(r'[a-z][a-z0-9_-]{0,62}'), re.compile(r'[a-z0-9_-]{0,63}')
_VARIABLE = re.compile(r'[A-Za-z_][A-Za-z0-9_]*')
_TIME = re.compile(r'(\d+)(s|m|h|d)')
_SECONDS = {'s': 1, 'm': 60, 'h': 3600, 'd': 86400}
_REGIONS = ('us-central1', 'us-east1', 'us-east4', 'us-west1', 'us-west4', 'europe-west1', 'europe-west4', 'asia-east1')
# What the service writes into every container itself.
_RESERVED = (cluster.TF_CONFIG, cluster.CLUSTER_SPEC)
_RESERVED_PREFIXES = ('AIP_', 'CLOUD_ML_')

DISKS = ('pd-ssd', 'pd-standard', 'hyperdisk-balanced')
STRATEGIES = {'standard': 'STANDARD', 'spot': 'SPOT', 'flex_start': 'FLEX_START'}
# The label by which a job whose creation was not answered is found again.
SUBMISSION = 'submission'


def is_remote(path: str) -> bool:
    """Whether a job can see a path: of Cloud Storage, or below the folder it is mounted at."""
    return path.startswith(('gs://', '/gcs/'))


def check_pattern(what: str, value: str, pattern: re.Pattern[str], allowed: str) -> None:
    """Raises UserError where a text is not of the form it must have."""
    if not pattern.fullmatch(value):
        raise errors.bad_value(what, value, allowed, 'the command line')


def check_folder(what: str, value: str) -> None:
    """Checks a folder of Cloud Storage as a URI."""
    check_pattern(what, value, _BUCKET, 'a folder of Cloud Storage, such as gs://my-bucket/runs/one')


def check_mount(what: str, value: str) -> None:
    """Checks a folder below the one that Cloud Storage is mounted at."""
    near = f'/gcs/{value[5:]}' if value.startswith('gs://') else '/gcs/my-bucket/runs/one'
    check_pattern(what, value, _MOUNT, f'a folder of Cloud Storage as it is mounted in a job, such as {near}')


def check_place(project: str, region: str) -> None:
    """Checks project and region."""
    check_pattern('--project', project, _PROJECT, "the project's id, such as my-project-1, or number")
    if not _REGION.fullmatch(region):
        guess = errors.nearest(region, _REGIONS)
        hint = f"; did you mean '{guess}'" if guess else ''
        raise errors.bad_value('--region', region, f'a region, such as us-central1{hint}', 'the command line')


def check_names(image: str, display_name: str, service_account: str, network: str) -> None:
    """Checks the image's address, the name, the account and the network; '' is none of the last two."""
    check_pattern('--image', image, _IMAGE, 'an image in a registry, such as us-docker.pkg.dev/my-project/ml/rethink:1')
    if '/' not in image or ('.' not in image.split('/')[0] and image.split('/')[0] != 'localhost'):
        raise errors.bad_value('--image', image, 'an address with its registry, such as us-docker.pkg.dev/…')
    if not 1 <= len(display_name) <= 128:
        raise errors.bad_value('--display_name', display_name, '1 to 128 characters')
    if service_account:
        check_pattern('--service_account', service_account, _ACCOUNT, 'name@my-project.iam.gserviceaccount.com')
    if network:
        allowed = 'projects/12345/global/networks/my-network, with the number of the project'
        check_pattern('--network', network, _NETWORK, allowed)


def seconds(what: str, text: str) -> int:
    """Reads a time such as 90m, 12h, 7d or 3600s."""
    found = _TIME.fullmatch(text)
    if not found or not int(found[1]):
        raise errors.bad_value(what, text, 'a time over 0, such as 90m, 12h, 7d or 3600s', 'the command line')
    return int(found[1]) * _SECONDS[found[2]]


def pairs(what: str, items: Sequence[str]) -> dict[str, str]:
    """Reads name=value items; a name may come once."""
    found: dict[str, str] = {}
    for item in items:
        name, equals, value = item.partition('=')
        if not equals:
            raise errors.bad_value(what, item, 'name=value', 'the command line')
        if name in found:
            raise errors.bad_value(what, item, f"each name once; '{name}' was {found[name]!r} already")
        found[name] = value
    return found


def labels(items: Sequence[str]) -> dict[str, str]:
    """Reads --label items, as the API takes them."""
    found = pairs('--label', items)
    for name, value in found.items():
        if name == SUBMISSION:
            raise errors.bad_value('--label', f'{name}={value}', f"another name; '{SUBMISSION}' is set for each job")
        if not _LABEL_KEY.fullmatch(name) or not _LABEL_VALUE.fullmatch(value):
            rule = 'a small letter, then up to 62 small letters, digits, _ and -; likewise the value, 63 at most'
            raise errors.bad_value('--label', f'{name}={value}', rule, 'the command line')
    if len(found) > 63:
        raise errors.bad_value('--label', len(found), '63 labels at most')
    return found


def variables(items: Sequence[str]) -> dict[str, str]:
    """Reads --env items; what the service sets itself is refused."""
    found = pairs('--env', items)
    for name, value in found.items():
        if not _VARIABLE.fullmatch(name):
            raise errors.bad_value('--env', f'{name}={value}', 'a name of letters, digits and _, then =')
        if name in _RESERVED or name.startswith(_RESERVED_PREFIXES):
            raise errors.bad_value('--env', name, 'a variable that Vertex AI does not set itself')
    return found
