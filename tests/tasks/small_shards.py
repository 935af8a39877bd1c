"""Shards of noise with boxes, masks, label maps and classes, for tasks that read them as those of a real set."""

import io
import json
import os
import shutil

import numpy as np
from PIL import Image

from official_rethink.data import label_maps, masks, records, shards
from official_rethink.pseudo_labels import counts, filters, manifest

IMAGES, HELD_OUT = 26, 11


def write_data(folder):
    """Images of noise with up to three boxes and masks, a label map, a class: sets 'train', 'pseudo' and 'val'."""
    def record(number, pseudo):
        generator = np.random.default_rng(number)
        height, width = 30 + number % 7, 40 - number % 5
        stream, classes = io.BytesIO(), np.zeros([height, width], np.uint8)
        Image.fromarray(generator.integers(0, 256, [height, width, 3], np.uint8)).save(stream, 'PNG')
        found = []
        for label in range(1, 1 + number % 4):
            top, left = generator.integers(0, 15, 2)
            box = (float(top), float(left), float(top + 12), float(left + 10 + label))
            mask = np.zeros([height, width], np.uint8)
            mask[top : top + 12, left : left + 10 + label] = 1
            score = 0.4 + 0.2 * label if pseudo else None
            found.append(records.Annotation(box, label, mask_png=masks.to_png(mask), score=score))
            classes[top : top + 12, left : left + 10] = label
        classes[:, :2] = 255
        maps = {'label_map_png': label_maps.encode(classes)}
        if pseudo:
            maps['score_map_png'] = label_maps.encode(generator.integers(0, 256, classes.shape, np.uint8))
        rest = {'annotations': found, 'class_label': 1 + number % 3, 'pseudo': pseudo, **maps}
        return records.Record(str(number), stream.getvalue(), 'png', height, width, **rest)

    categories = [{'id': label, 'name': f'c{label}', 'source_id': label} for label in (1, 2, 3)]
    for split, first, count in (('train', 0, IMAGES), ('pseudo', 100, IMAGES), ('val', 200, HELD_OUT)):
        made = [record(first + number, split == 'pseudo') for number in range(count)]
        shards.write(made, str(folder), split, categories, num_shards=2)


def write_stores(folder):
    """The set 'pseudo' as stores that a student accepts: of boxes in 'boxes', of label maps in 'label_maps'."""
    names = sorted(name for name in os.listdir(folder) if name.startswith('pseudo'))
    with open(f'{folder}/pseudo.json', encoding='utf-8') as handle:
        categories = json.load(handle)['categories']
    for labels in (counts.BOXES, counts.LABEL_MAPS):
        os.mkdir(f'{folder}/{labels}')
        for name in names:
            shutil.copy(f'{folder}/{name}', f'{folder}/{labels}')
        counted = {
            'labels': labels,
            'num_images': IMAGES,
            'num_instances': 39,
            # Their scores are 0.6, 0.8 and 1.0; a student looks whether there are any over its threshold.
            'score_histogram': {'edges': list(filters.EDGES), 'counts': [0] * (filters.BINS - 1) + [39]},
            'pixel_scores': [1] * 256,
            'shards': [name for name in names if name.endswith('.tfrecord')],
        }
        inputs = {'input': {}, 'score_floor': 0.05}
        teacher = {'checkpoint': 'ckpt-7', 'files': {}, 'step': 7, 'metrics': {}}
        made = manifest.build(counted, categories, inputs, teacher, {'experiment': 'none', 'hash': ''})
        with open(f'{folder}/{labels}/manifest.json', 'w', encoding='utf-8') as handle:
            json.dump(made, handle)
