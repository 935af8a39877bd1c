"""Flags of jobs that are right, for tests to change one at a time."""

import pytest

from export.vertex import api_types


def data(batch_size: int) -> str:
    """Settings that read the data from a bucket."""
    parts = (('train', 'train'), ('validation', 'val'), ('test', 'val'))
    return ','.join(
        f'task.{part}_data.input_path=gs://my-bucket/scenes/{name}*,task.{part}_data.global_batch_size={batch_size}'
        for part, name in parts
    )


DATA = data(16)  # a batch that 2, 4 and 8 devices can share
WHERE = (
    '--project=my-project',
    '--region=us-central1',
    '--image=us-docker.pkg.dev/my-project/ml/rethink:1',
    '--machine_type=n1-standard-8',
    '--staging_dir=gs://my-bucket/runs/one',
)
TRAIN = (
    '--experiment=retinanet_efficientnet_coco',
    '--config_file=configs/quick/retinanet.yaml',
    f'--params_override={DATA}',
)

NEEDS_TYPES = pytest.mark.skipif(
    not api_types.available(),
    reason="google-cloud-aiplatform is not installed: python -c 'import google.cloud.aiplatform_v1' fails",
)


def train(*flags: str, command: tuple[str, ...] = (*TRAIN, '--mode=train_and_eval')) -> list[str]:
    """A training job with more flags."""
    return ['train', *WHERE, *flags, '--', *command]


def tune(*flags: str, command: tuple[str, ...] = TRAIN) -> list[str]:
    """A tuning job with more flags."""
    return ['tune', *WHERE, *flags, '--', *command]
