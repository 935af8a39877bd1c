"""What a person is told of a store that was written: how much it holds, and what a threshold would keep."""

import os
from collections.abc import Mapping
from typing import Any

from official_rethink.common import files
from official_rethink.pseudo_labels import counts, filters

_OTHERS = ('gallery.png', 'gallery.json', 'quality.json')


def text(manifest: Mapping[str, Any], folder: str) -> str:
    """Returns the lines for the screen."""
    written = {counts.BOXES: _boxes, counts.CLASSES: _classes, counts.LABEL_MAPS: _maps}
    lines = written[manifest.get('labels', counts.BOXES)](manifest)
    others = [name for name in _OTHERS if files.exists(os.path.join(folder, name))]
    names = [f'{len(manifest["shards"])} shards pseudo-*.tfrecord', 'pseudo.json', 'manifest.json', *others]
    lines += ['', f'in {folder}: {", ".join(names)}']
    return '\n'.join(lines) + '\n'


def _left_out(manifest: Mapping[str, Any]) -> list[str]:
    skipped = manifest['skipped']
    kinds = ', '.join(f'{count} x {kind}' for kind, count in skipped.items())
    told = f'{sum(skipped.values()):,} images left out ({kinds}), listed in pseudo-skipped.jsonl'
    return [told] if skipped else []


def _boxes(manifest: Mapping[str, Any]) -> list[str]:
    images, boxes = manifest['num_images'], manifest['num_instances']
    mean = f', mean score {manifest["mean_score"]:.3f}' if boxes else ''
    lines = [
        f'{images:,} images, {boxes:,} boxes of score {manifest["score_floor"]:g} or more{mean}',
        f'{manifest["num_images_without_boxes"]:,} images without a box',
        *_further(manifest),
        *_left_out(manifest),
        '',
        'threshold   boxes kept  an image  images with boxes',
    ]
    for row in manifest['kept_at']:
        kept = f'{row["threshold"]:>9}{row["boxes"]:>13,}{row["boxes_per_image"]:>10.2f}'
        lines.append(f'{kept}{row["images_with_boxes"]:>19,}')
    return lines


def _further(manifest: Mapping[str, Any]) -> list[str]:
    lines = []
    if manifest.get('masks'):
        lines.append(f'each box with a mask, {manifest["num_empty_masks"]:,} of them without a pixel')
    if manifest.get('keypoints'):
        visible = manifest['num_visible_keypoints']
        lines.append(f'{manifest["keypoints"]} key points an object, {visible:,} in all visible')
    return lines


def _classes(manifest: Mapping[str, Any]) -> list[str]:
    lines = [
        f'{manifest["num_images"]:,} images with the probabilities of {len(manifest["categories"])} classes, mean '
        f'confidence {manifest["mean_score"]:.3f}',
        *_left_out(manifest),
        '',
        'threshold  images kept',
    ]
    lines += [f'{row["threshold"]:>9}{row["boxes"]:>13,}' for row in manifest['kept_at']]
    given = manifest['instances_per_category']
    none = [category['name'] for category in manifest['categories'] if not given[str(category['id'])]]
    if none:
        lines.append(f'classes that no image was given: {", ".join(none[:10])}{", ..." if len(none) > 10 else ""}')
    return lines


def _maps(manifest: Mapping[str, Any]) -> list[str]:
    mean = f', mean score {manifest["mean_score"]:.3f}' if manifest['num_instances'] else ''
    lines = [
        f'{manifest["num_images"]:,} images, {manifest["num_pixels"]:,} pixels{mean}',
        f'{manifest["num_images_without_objects"]:,} images with nothing but background',
        *_left_out(manifest),
        '',
        'threshold  pixels kept  images with labels  with objects',
    ]
    for row in manifest['kept_at'][::2]:
        kept = f'{row["score_threshold"]:>9.1f}{row["coverage"]:>13.1%}{row["images_with_labels"]:>20,}'
        lines.append(f'{kept}{row["images_with_objects"]:>14,}')
    names = {'0': filters.BACKGROUND} | {str(one['id']): one['name'] for one in manifest['categories']}
    shares = sorted(manifest['share_per_category'].items(), key=lambda item: -item[1])
    lines += ['', 'share of pixels: ' + ', '.join(f'{names[label]} {share:.1%}' for label, share in shares if share)]
    none = [names[label] for label, share in manifest['share_per_category'].items() if not share]
    if none:
        lines.append(f'classes that no pixel was given: {", ".join(none[:10])}{", ..." if len(none) > 10 else ""}')
    return lines
