#!/bin/sh
# Prints the Python to make the environment with, or says how to get one. WANTED=... is the version (default 3.11),
# PYTHON=... overrides the search. Exit code 3: no such Python was found, and none was named.
wanted=${WANTED:-3.11}
if [ -n "$PYTHON" ]; then candidates=$PYTHON; else
    # pyenv's own python3.11 works only in a folder or shell where that version is chosen; its versions always do.
    candidates="python$wanted python3 python $(ls -d "${PYENV_ROOT:-$HOME/.pyenv}/versions/$wanted".*/bin/python 2>/dev/null)"
fi
for candidate in $candidates; do
    if [ "$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$wanted" ]; then
        if "$candidate" -c 'import venv, ensurepip' 2>/dev/null; then
            command -v "$candidate"
            exit 0
        fi
        echo "$candidate is Python $wanted without its venv module; Debian/Ubuntu: apt-get install python$wanted-venv" >&2
        exit 1
    fi
done
if [ "$wanted" = 3.11 ]; then
    cat >&2 <<'MESSAGE'
Python 3.11 is needed and was not found (TensorFlow 2.15 has no packages for newer versions). To get it:
  Debian 12:      apt-get install python3.11 python3.11-venv
  Ubuntu 22.04:   apt-get install python3.11 python3.11-venv        (in "universe")
  macOS:          brew install python@3.11
  anywhere:       pyenv install 3.11 && pyenv shell 3.11
If it is somewhere else, name it: make setup PYTHON=/path/to/python3.11
MESSAGE
else
    echo "Python $wanted is needed for this target alone and was not found: pyenv install $wanted, or name it" >&2
    echo "with PYTHON=/path/to/python$wanted" >&2
fi
[ -n "$PYTHON" ] || exit 3
exit 1
