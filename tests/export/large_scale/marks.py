"""The mark of tests that need Apache Beam."""

import pytest

from export.large_scale import beam

needs_beam = pytest.mark.skipif(not beam.AVAILABLE, reason=f'Apache Beam is not installed ({beam.INSTALL})')
