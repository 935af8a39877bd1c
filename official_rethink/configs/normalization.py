"""Which normalisation a network is built with: one choice for every family and every backbone."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from official.vision.configs import common

from official_rethink.configs import checks

BATCH, GROUP, FROZEN, NONE = 'batch', 'group', 'frozen_batch', 'none'
KINDS = (BATCH, GROUP, FROZEN, NONE)
KEY = 'task.model.norm_activation.'


@dataclasses.dataclass
class NormActivation(common.NormActivation):
    """Model Garden's, and which normalisation it is about.

    Attributes:
        normalization: 'batch' (over all replicas with `use_sync_bn`), 'group' (Wu and He, 2018), 'frozen_batch' (a
            backbone's batch norm with the statistics and factors it was restored with, and no normalisation
            elsewhere: Detectron's fine-tuning baseline), or 'none'.
        num_groups: of group normalisation (He et al., section 3, by way of Detectron: 32); a layer whose channels
            they do not divide takes the largest number below that does.
    """

    normalization: str = BATCH
    num_groups: int = 32


def check(rules: checks.Rules) -> None:
    """Checks the choice, and that nothing is frozen at the random weights it starts from.

    He et al. trained from scratch; early runs of theirs in Detectron's code left two stages frozen at random
    weights, which cost three points of AP and no error message.
    """
    config = rules.config.task.model.norm_activation
    if not isinstance(config, NormActivation):
        return
    rules.choice(KEY + 'normalization', KINDS)
    rules.at_least(1, KEY + 'num_groups')
    if config.normalization == FROZEN and not rules.config.task.init_checkpoint:
        raise rules.clash(
            KEY + 'normalization',
            'task.init_checkpoint',
            'without a checkpoint, batch norm would be frozen at the factors and statistics it is made with',
        )
    backbone = rules.config.task.model.backbone
    frozen = f'task.model.backbone.{backbone.type}.bn_trainable'
    keeps = getattr(backbone.get(), 'bn_trainable', True) is False
    if keeps and not rules.config.task.init_checkpoint:
        raise rules.clash(frozen, 'task.init_checkpoint', 'without a checkpoint, random weights would stay frozen')
    modules = rules.config.task.init_checkpoint_modules
    if (keeps or config.normalization == FROZEN) and not {'all', 'backbone'} & {*_listed(modules)}:
        raise rules.clash(
            'task.init_checkpoint_modules',
            frozen if keeps else KEY + 'normalization',
            "what is frozen has to be restored: 'all', or a list with 'backbone'",
        )


def remarks(model: Any, num_replicas: int) -> list[str]:
    """What is worth knowing of a model's batch norm on several replicas.

    Args:
        model: the config of one, of any family.
        num_replicas: that train it.
    """
    found = []
    for name in ('norm_activation', 'decoder_norm_activation'):
        config = getattr(model, name, None)
        if config is None or config.use_sync_bn or getattr(config, 'normalization', BATCH) != BATCH:
            continue
        found.append(
            f'task.model.{name}.use_sync_bn is false: batch norm takes the statistics of each of the {num_replicas} '
            "replicas' part of a batch, so that the training is another one than on one device."
        )
    return found if num_replicas > 1 else []


def _listed(modules: str | Sequence[str]) -> list[str]:
    return [modules] if isinstance(modules, str) else list(modules)
