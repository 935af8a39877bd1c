"""Nothing stays frozen at the random weights it starts from (section 2 of the fact sheet of He et al.)."""

import pytest

from official_rethink import registry_imports  # noqa: F401
from official_rethink.common import errors
from official_rethink.configs import parse

_FROZEN = 'task.model.norm_activation.normalization=frozen_batch'
_KEPT = 'task.model.backbone.{}.bn_trainable=false'


@pytest.mark.parametrize(
    ('experiment', 'override', 'words'),
    [
        ('maskrcnn_resnetfpn_syncbn_coco', _FROZEN, 'without a checkpoint, batch norm would be frozen'),
        ('maskrcnn_resnetfpn_gn_coco', _KEPT.format('resnet'), 'random weights would stay frozen'),
        ('maskrcnn_resnextfpn_gn_coco', _KEPT.format('resnext'), 'random weights would stay frozen'),
        (
            'maskrcnn_resnetfpn_syncbn_coco',
            f'{_FROZEN},task.init_checkpoint=run,task.init_checkpoint_modules=[decoder]',
            "what is frozen has to be restored: 'all', or a list with 'backbone'",
        ),
        (
            'retinanet_efficientnet_coco',
            f'{_FROZEN},task.init_checkpoint=run,task.init_checkpoint_modules=head',
            'what is frozen has to be restored',
        ),
    ],
)
def test_what_would_be_frozen_at_random_is_refused(experiment, override, words):
    with pytest.raises(errors.UserError, match=words):
        parse.load(experiment, (), override)


@pytest.mark.parametrize('modules', ['all', '[backbone,decoder]'])
def test_what_is_restored_may_be_frozen(modules):
    override = f'{_FROZEN},task.init_checkpoint=run,task.init_checkpoint_modules={modules}'
    params = parse.load('maskrcnn_resnetfpn_syncbn_coco', (), override).params
    assert params.task.model.norm_activation.normalization == 'frozen_batch'
