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
# To be asked what they are does not read them, and neither does another import.
assert colorsys.__name__ == 'colorsys' and colorsys.__file__.endswith('colorsys.py') and hasattr(dom, '__file__')
import colorsys as again
assert not loaded('colorsys') and not loaded('xml.dom')
assert colorsys.rgb_to_hsv(1.0, 0.0, 0.0) == (0.0, 1.0, 1.0)
assert dom.EMPTY_NAMESPACE is None
assert loaded('colorsys') and loaded('xml.dom')
"""
_HEAVY = """
import gc, sys
sys.path.insert(0, sys.argv[1])
from official_rethink.common import lazy_imports

lazy_imports.install([], ['outer', 'inner', 'broken'])
before = gc.get_freeze_count()
import outer
assert (outer.collected, outer.inner.collected) == (False, False)
assert gc.isenabled() and gc.get_freeze_count() > before + 1000
try:
    import broken
except ZeroDivisionError:
    assert gc.isenabled()
else:
    raise AssertionError
gc.disable()
sys.modules.pop('outer')
import outer
assert not gc.isenabled()  # whoever runs without a collector goes on so
"""


def test_a_module_is_loaded_at_its_first_use():
    done = subprocess.run([sys.executable, '-c', _SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_collector_waits_for_heavy_imports(tmp_path):
    (tmp_path / 'inner.py').write_text('import gc\ncollected = gc.isenabled()\n')
    many = 'import gc, inner\nmany = [[] for _ in range(2000)]\ncollected = gc.isenabled()\n'
    (tmp_path / 'outer.py').write_text(many)
    (tmp_path / 'broken.py').write_text('1 / 0\n')
    command = [sys.executable, '-c', _HEAVY, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_a_command_loads_leaves_them_out():
    """Also when AutoGraph has asked all modules for their files. And each still works: a picture, a data frame."""
    script = """
import sys
from official_rethink.common import entry_point, lazy_imports
entry_point.quieten()
lazy_imports.install()
import gc, official_rethink.registry_imports, tensorflow as tf
assert gc.isenabled() and gc.get_freeze_count() > 100_000
tf.autograph.to_graph(entry_point.quieten)
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
