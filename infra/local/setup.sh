#!/bin/sh
# Makes .venv from uv.lock: Python 3.11 to 3.13 with venv, and PyPI, are all it needs.
# PYTHON=/path/to/python picks an interpreter.
set -eu
cd "$(dirname "$0")/../.."

# A command of that name may be there and still not run: version managers leave such.
suits() {
    "$1" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

find_python() {
    for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
        if suits "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    {
        echo "No Python 3.11, 3.12 or 3.13 with the venv module found. Tried: ${PYTHON:-python3.13 python3.12 python3.11 python3}."
        echo "Install one (on Debian and Ubuntu with its -venv package), or name it: make setup PYTHON=/path/to/python3.12"
    } >&2
    return 1
}

if ! suits .venv/bin/python; then
    python=$(find_python)
    echo "Making .venv with $("$python" --version) ($python)."
    "$python" -m venv --clear .venv
fi

uv_version=$(awk '/^name = "uv"$/ { getline; gsub(/[^0-9.]/, ""); print; exit }' uv.lock)
if [ "$(.venv/bin/uv --version 2>/dev/null | cut -d ' ' -f 2)" != "$uv_version" ]; then
    .venv/bin/python -m ensurepip >/dev/null
    .venv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$uv_version"
fi

echo "Installing what uv.lock names: 3 GB at the first time."
VIRTUAL_ENV="$PWD/.venv" UV_PROJECT_ENVIRONMENT="$PWD/.venv" UV_PYTHON_DOWNLOADS=never \
    .venv/bin/uv sync --frozen --quiet --extra stack --python .venv/bin/python
touch .venv/.synced
