"""What an evaluation leaves for people to look at."""

import numpy as np
from PIL import Image

from official_rethink.data import label_maps
from official_rethink.tasks import evaluate


def test_the_first_label_maps_are_written_as_palette_png(tmp_path):
    write = evaluate.LabelMapWriter(str(tmp_path / 'test_label_maps'))
    assert not (tmp_path / 'test_label_maps').exists()  # a set without images makes no folder
    generator = np.random.default_rng(0)
    sizes = [(7 + number, 1 + number) for number in range(evaluate.GALLERY_IMAGES + 3)]
    maps = [generator.integers(0, 21, size, np.uint8) for size in sizes]
    maps[0][0] = 255
    for number, label_map in enumerate(maps):
        write(1000 + number, label_map)
    found = sorted(path.name for path in (tmp_path / 'test_label_maps').iterdir())
    assert found == [f'{1000 + number}.png' for number in range(evaluate.GALLERY_IMAGES)]
    for number in range(evaluate.GALLERY_IMAGES):
        path = tmp_path / 'test_label_maps' / f'{1000 + number}.png'
        np.testing.assert_array_equal(label_maps.decode(path.read_bytes()), maps[number])
    with Image.open(tmp_path / 'test_label_maps' / '1000.png') as opened:
        assert opened.mode == 'P' and opened.getpalette()[3:6] == [128, 0, 0]
