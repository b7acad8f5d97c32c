#!/bin/bash
# `make test-vm`: the tests in a bare machine, then those that want a systemd as PID 1; fails if either does.
#
# usage: all.sh PYTHON PYTEST-ARGUMENT...
set -uo pipefail
here=$(dirname "$0")
case $(realpath "$here") in
/tmp/*) # where a sandboxed service has a folder of its own, and does not find its Python
    echo "the virtual machine's tests: clone to somewhere else than /tmp ($(realpath "$here"))" >&2
    exit 2
    ;;
esac
pytest=("$1" -m pytest -p no:cacheprovider -m vm "${@:2}")
"$here/run.sh" "${pytest[@]}" tests/vm --ignore tests/vm/booted
bare=$?
"$here/run.sh" --systemd "${pytest[@]}" tests/vm/booted
booted=$?
none=5 # pytest's exit status where -k has left nothing
[ $bare = $none ] && bare=0
[ $booted = $none ] && booted=0
exit $((bare ? bare : booted))
