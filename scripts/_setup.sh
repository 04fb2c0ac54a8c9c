# Sourced by the scripts beside it: finds a Python and has _setup.py make the virtual environment.
#
#   set_up EXTRA    make sure that .venv holds the project with this extra; quick when it does
#   suite ARG…      run the tests of the suite by the python on the PATH, which leaves out the tiers of .ci; arguments go to pytest
#
# Needs nothing from the environment: PATH and HOME may be unset.

PATH=${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}
export PATH

# Prints the full path of an interpreter that is new enough, one that can make environments by itself if there is one.
# Its base is printed, not the interpreter of a virtual environment that happens to be active: that may be our own.
find_python() {
    found=
    for name in python3.14 python3.13 python3.12 python3.11 python3 python; do
        answer=$("$name" -I -c '
import sys
assert sys.version_info >= (3, 11)
print(getattr(sys, "_base_executable", None) or sys.executable)
import ensurepip, venv
print("complete")' 2>/dev/null) || case $answer in /*) ;; *) continue ;; esac
        case $answer in
        *complete) printf '%s\n' "${answer%%
*}" && return ;;
        esac
        found=${found:-$answer}
    done
    printf '%s\n' "$found"
}

set_up() {
    python=$(find_python)
    if [ -z "$python" ]; then
        echo "No Python 3.11 or newer found on the PATH ($PATH): install one, for example 'apt install python3-venv'." >&2
        exit 1
    fi
    "$python" -I scripts/_setup.py "$1"
}

# Two at a time: much of it waits for heartbeats that run out and servers that come back.
suite() {
    python -m pytest tests -n 2 --dist loadfile --no-loadscope-reorder --ignore=tests/browser --ignore=tests/promtool -m "not long" "$@"
}
