#!/bin/sh
# Checks every target of BUILD with a real Bazel, and runs the given tests with the environment's Python.
# Usage: [BAZEL=...] tools/bazel/test.sh BIN_FOLDER TARGET...
set -eu
cd "$(dirname "$0")/../.."
PATH="$(cd "$1" && pwd):$PATH" # the rules take the first python3 on PATH, and its packages with it
export PATH
shift

# --batch leaves no server behind; outputs stay in Bazel's folder under the user's cache, none in the tree.
run() {
    command=$1
    shift
    "${BAZEL:-bazel}" --batch "$command" --noshow_progress --color=no "$@"
}

run query 'kind(rule, //...)' >/dev/null
run build --symlink_prefix=/ //...
run test --symlink_prefix=/ --test_env=PATH --test_output=errors "$@"
