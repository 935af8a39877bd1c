"""Packages that are read at their first use."""

import subprocess
import sys

_SCRIPT = """
import sys
from official_rethink.common import lazy_imports

lazy_imports.install(['colorsys', 'xml.dom', 'not_installed_anywhere'])
lazy_imports.install(['wave'])  # a second call changes nothing
assert len([finder for finder in sys.meta_path if type(finder).__name__ == '_Finder']) == 1

import colorsys, xml.dom as dom, wave
try:
    import not_installed_anywhere
except ModuleNotFoundError as error:
    assert error.name == 'not_installed_anywhere'
else:
    raise AssertionError

def loaded(name):
    return type(sys.modules[name]).__name__ == 'module'

assert not loaded('colorsys') and not loaded('xml.dom') and loaded('wave')
assert colorsys.rgb_to_hsv(1.0, 0.0, 0.0) == (0.0, 1.0, 1.0)
assert dom.EMPTY_NAMESPACE is None
assert loaded('colorsys') and loaded('xml.dom')
"""


def test_a_module_is_loaded_at_its_first_use():
    done = subprocess.run([sys.executable, '-c', _SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_a_command_loads_leaves_them_out():
    """And each still works: a picture of Model Garden's is drawn, a data frame is trained on."""
    script = """
import sys
from official_rethink.common import entry_point, lazy_imports
entry_point.quieten()
lazy_imports.install()
import official_rethink.registry_imports
found = [name for name in lazy_imports.LAZY if type(sys.modules.get(name)).__name__ == 'module']
assert not found, found
import numpy as np, tensorflow as tf, pandas
from official.vision.utils.object_detection import visualization_utils
picture = np.zeros([32, 32, 3], np.uint8)
visualization_utils.draw_bounding_box_on_image_array(picture, 4, 4, 20, 20, use_normalized_coordinates=False)
assert picture.any()
model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
model.compile(loss='mse')
model.fit(pandas.DataFrame({'x': [1.0, 2.0]}), pandas.Series([1.0, 2.0]), verbose=0)
import matplotlib.pyplot
assert matplotlib.pyplot.figure is not None
"""
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
