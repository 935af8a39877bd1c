#!/bin/sh
# Prints the Python 3.11 to make the environment with, or says how to get one. PYTHON=... overrides the search.
for candidate in ${PYTHON:-python3.11 python3 python}; do
    if [ "$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = 3.11 ]; then
        if "$candidate" -c 'import venv, ensurepip' 2>/dev/null; then
            command -v "$candidate"
            exit 0
        fi
        echo "$candidate is Python 3.11 without its venv module; Debian/Ubuntu: apt-get install python3.11-venv" >&2
        exit 1
    fi
done
cat >&2 <<'MESSAGE'
Python 3.11 is needed and was not found (TensorFlow 2.15 has no packages for newer versions). To get it:
  Debian 12:      apt-get install python3.11 python3.11-venv
  Ubuntu 22.04:   apt-get install python3.11 python3.11-venv        (in "universe")
  macOS:          brew install python@3.11
  anywhere:       pyenv install 3.11 && pyenv shell 3.11
If it is somewhere else, name it: make setup PYTHON=/path/to/python3.11
MESSAGE
exit 1
