"""The one thing pyproject.toml has no word for: the YAML files of configs/ are installed inside the package."""

import os

import setuptools

# As package data, so that `--config_file=quick/retinanet.yaml` works from an installed wheel.
TARGET = 'official_rethink.config_files'


def config_packages() -> list[str]:
    """Returns configs/ and the folders below it as packages without code."""
    folders = (os.path.relpath(folder, 'configs') for folder, _, _ in os.walk('configs'))
    return sorted(TARGET if folder == '.' else f'{TARGET}.{folder.replace(os.sep, ".")}' for folder in folders)


setuptools.setup(
    packages=[*setuptools.find_packages(include=['official_rethink*', 'export*']), *config_packages()],
    package_dir={TARGET: 'configs'},
)
