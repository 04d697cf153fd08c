#!/usr/bin/env bash
# The sandbox's tests that need a Python which every user can read. Where root's Python lies in root's home, an
# ordinary user cannot run it, and these tests are skipped or take another branch; the system's Python of the same
# version has no such limit. Usage: every_user.sh PYTHON, which is the Python of the virtual environment.
set -euo pipefail
python=$1
read -r version base packages <<<"$("$python" -c 'import sys, sysconfig
print(f"{sys.version_info[0]}.{sys.version_info[1]}", sys.base_prefix, sysconfig.get_path("purelib"))')"

skip() {
    echo "sandbox tests for every user: skipped, $1"
    exit 0
}
[ "$(id -u)" = 0 ] || skip "since this is an ordinary user already"
as_nobody() { python3 -c 'import os, sys; os.setuid(65534); sys.exit(not all(os.access(path, os.R_OK) for path in sys.argv[1:]))' "$@"; }
as_nobody "$base" && skip "since every user can read $base"
[ -x "/usr/bin/python$version" ] || skip "since there is no /usr/bin/python$version"
as_nobody "$packages" src || skip "since not every user can read $packages"

folder=$(mktemp -d /var/tmp/verifine-every-user-XXXXXX)
trap 'rm -rf "$folder"' EXIT
"/usr/bin/python$version" -m venv --without-pip "$folder" || skip "since /usr/bin/python$version cannot make an environment"
chmod 755 "$folder"
echo "$packages" >"$folder/lib/python$version/site-packages/packages.pth"
PYTHONPATH=src PYTHONDONTWRITEBYTECODE=1 "$folder/bin/python" -m pytest -p no:cacheprovider tests/graders/sandbox \
    -k "ordinary or bubblewrap-root or kernel-none or takes_every_process or test_level or test_view"
