"""The numbers of boxes, masks and key points that a study's tables show beside the one that arms are compared by."""

from typing import Any

KINDS = ('', 'mask_', 'keypoint_')
OVERLAPS = ('AP', 'AP50', 'AP75')
OTHERS = ('VOC07_mAP', 'VOC12_mAP')
NAMES = (*(f'{kind}{overlap}' for kind in KINDS for overlap in OVERLAPS), *OTHERS)


def measured(results: dict[str, Any]) -> list[str]:
    """Of these numbers those that every seed of every arm was measured by; -1 stands for no truth to measure on."""
    seeds = [seed for arm in results['arms'] for seed in arm['seeds']]
    return [name for name in NAMES if all(seed['metrics'].get(name, -1.0) >= 0 for seed in seeds)]
