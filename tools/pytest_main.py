"""Runs the test files named on the command line with pytest: the main module of every py_test in BUILD."""

import os
import sys

import pytest


def main(argv: list[str]) -> int:
    """Runs pytest on `argv`, with the report where Bazel wants it; no test collected is a failure."""
    report = os.environ.get('XML_OUTPUT_FILE')
    extra = [f'--junit-xml={report}'] if report else []
    return int(pytest.main(['-p', 'no:cacheprovider', *extra, *argv]))


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
