"""The accounting of samples, with He et al.'s own example among others."""

import pytest

from official_rethink.study import samples
from tests.study import fabricated_starts


def _arm(stages, initialization='random', pretraining=None, **seed):
    costs = [{'stage': stage, 'cost': {'images': images}} for stage, images in stages]
    images = sum(amount for stage, amount in stages if stage != 'pretraining')
    before = sum(amount for stage, amount in stages if stage == 'pretraining')
    made = {'images': images, 'pretraining_images': before, 'stages': costs, 'steps': 100, **seed}
    return {'initialization': initialization, 'pretraining': pretraining, 'seeds': [made]}


def test_the_papers_example():
    """100 epochs of 1.28M images and 24 of 118,287 against 72 of 118,287: 130.8M images against 8.5M."""
    coco = 118_287
    start = _arm([('pretraining', 128_000_000), ('supervised', 24 * coco)], 'imagenet', 'classification')
    random = _arm([('supervised', 72 * coco)])
    assert samples.seen(start, 'images') == samples.Seen(128_000_000, 24 * coco, 0)
    assert samples.seen(start, 'images').total == pytest.approx(130.8e6, rel=1e-3)
    assert samples.seen(random, 'images').total == pytest.approx(8.5e6, rel=3e-3)


def test_labelling_is_told_from_training():
    stages = [('teacher', 800), ('label', 50), ('student', 1600), ('label_2', 50), ('student_2', 1600)]
    assert samples.seen(_arm(stages), 'images') == samples.Seen(0, 4000, 100)


def test_weights_from_elsewhere_have_no_total():
    seen = samples.seen(_arm([('supervised', 800)], 'checkpoints/backbone'), 'images')
    assert seen.pretraining is None and seen.total is None and seen.known == 800


def test_means_are_over_seeds_and_rates_are_of_training():
    arm = fabricated_starts.arm('a', 500, pretrained=True)
    # Seeds 0, 1 and 2 saw 12,000 instances and 0, 1 and 2 more.
    assert samples.seen(arm, 'instances').training == 12_001
    assert samples.rate(arm, 'images') == 8 and samples.rate(arm, 'pixels') == 8 * 64 * 64
    assert samples.steps(arm) == 500
    totals = samples.totals(arm['seeds'][2], arm)
    assert totals == {
        'total_images': 4000 + 25600,
        'total_instances': 12_002 + 25600,
        'total_pixels': 4000 * 64 * 64 + 25600 * 48 * 48,
    }


def test_a_record_of_before_there_was_pretraining_still_counts():
    arm = {'initialization': 'random', 'seeds': [{'images': 10, 'steps': 0, 'stages': []}]}
    assert samples.seen(arm, 'images').total == 10 and samples.rate(arm, 'images') == 0
    assert samples.totals({'images': 1, 'instances': 2, 'pixels': 3}, {**arm, 'initialization': 'x'}) == {
        'total_images': None,
        'total_instances': None,
        'total_pixels': None,
    }
