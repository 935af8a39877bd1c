"""What a data set really is, in a screenful: images, boxes, crowds, classes, sizes."""

from collections.abc import Mapping
from typing import Any

from official_rethink.data import statistics

_BAR = 30
_MAX_CLASSES = 100


def text(description: Mapping[str, Any], place: str = '') -> str:
    """Returns the summary of a described set as lines of text.

    Args:
        description: as `shards.write` returns it.
        place: where it lies, for the first line.
    """
    labelled = description['num_images_with_annotations']
    head = f"'{description['split']}'" + (f' in {place}' if place else '')
    number = len(description['shards'])
    lines = [f'{head}: {description["num_images"]:,} images in {number} shard{"s" if number > 1 else ""}']
    sizes = description['image_sizes']
    shown = ', '.join(f'{name} {h} x {w}' for name, (h, w) in sizes.items())
    lines.append(f'  image sizes (height x width; each side by itself): {shown}')
    if description['categories']:
        if description['num_instances'] or description['num_crowds']:
            lines += _boxes(description, labelled)
        if description.get('keypoints'):
            names = description['keypoints']['names']
            lines.append(f'  key points: {len(names)} an object: {", ".join(names)}')
        if description.get('label_maps'):
            lines.append(_pixels(description))
        lines += _histogram(description)
    else:
        lines.append('  no labels')
    copies = description['num_images'] - len(set(description['image_hashes']))
    if copies:
        lines.append(f'  note: {copies:,} images are byte for byte copies of others in this set')
    if description['skipped']:
        kinds = ', '.join(f'{count:,} x {kind}' for kind, count in description['skipped_by_kind'].items())
        listed = f'listed in {description["split"]}-skipped.jsonl'
        lines.append(f'  skipped: {description["skipped"]:,} ({kinds}), {listed}')
    return '\n'.join(lines)


def _boxes(description: Mapping[str, Any], labelled: int) -> list[str]:
    number = description['num_instances']
    sizes = ', '.join(f'{count:,} {name}' for name, count in description['instances_per_size'].items())
    without = description['num_images'] - labelled
    rate = number / description['num_images']
    kinds = [name for name in statistics.FLAGS if description.get(f'num_{name}')]
    flags = ''.join(f', {description[f"num_{name}"]:,} {name}' for name in kinds)
    return [
        f'  boxes: {number:,} ({rate:.1f} an image; {sizes}, at areas of 32² and 96²), '
        f'{description["num_crowds"]:,} crowds{flags}',
        f'  images without any: {without:,}',
    ]


def _pixels(description: Mapping[str, Any]) -> str:
    counts, void = description['pixels_per_category'], description['void_pixels']
    total = max(sum(counts.values()) + void, 1)
    named = total - void - counts['0']
    return (
        f'  label maps: {total:,} pixels; {named / total:.1%} of classes, {counts["0"] / total:.1%} background, '
        f'{void / total:.1%} void'
    )


def _histogram(description: Mapping[str, Any]) -> list[str]:
    """One line a class, in the order of ids; a class without instances is pointed at."""
    counts = description['instances_per_category']
    shown = description['categories'][:_MAX_CLASSES]
    most = max([*counts.values(), 1])
    width = max(len(category['name']) for category in shown)
    pixels = description.get('pixels_per_category', {})
    labelled = max(sum(pixels.values()), 1)
    boxes = description['num_instances'] or not pixels
    counted = 'instances of each (crowds left out)' if boxes else 'images with each'
    shares = ', and its share of the pixels that are not void' if pixels else ''
    lines = [f'  classes: {len(description["categories"])}, {counted}{shares}:']
    for category in shown:
        count = counts[str(category['id'])]
        share = f'  {pixels[str(category["id"])] / labelled:>6.2%}' if pixels else ''
        # Square roots keep rare classes visible beside COCO's 260,000 people.
        bar = '#' * max(round(_BAR * (count / most) ** 0.5), 1) if count else '(none)'
        lines.append(f'    {category["id"]:>4}  {category["name"]:<{width}}  {count:>9,}{share}  {bar}')
    if len(description['categories']) > _MAX_CLASSES:
        lines.append(f'    ... and {len(description["categories"]) - _MAX_CLASSES} more classes')
    return lines
