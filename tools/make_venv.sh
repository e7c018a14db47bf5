#!/bin/sh
# The project's own environment: make_venv.sh PYTHON DIR. Every file is checked against its hash.
set -eu
python=$1
dir=$2
say() { printf 'whocut: %s\n' "$*" >&2; }

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
    say "Python 3.11 or newer is needed as '$python'; name another one with 'make PYTHON=python3.12 …'."
    exit 3
}
# Debian splits ensurepip off into python3-venv.
"$python" -c 'import ensurepip, venv' 2>/dev/null || {
    minor=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing python$minor-venv"
        { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install "python$minor-venv"; } >/dev/null
    else
        say "this Python cannot make environments yet; install it with 'sudo apt-get install python$minor-venv'."
        exit 3
    fi
}
say "making the environment in $dir (once; a minute or two)"
rm -rf "$dir"
"$python" -m venv "$dir"
"$dir/bin/pip" -qq --disable-pip-version-check install --no-deps --require-hashes -r constraints.txt
