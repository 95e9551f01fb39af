#!/usr/bin/env bash
# Makes this checkout ready to run, to test or to measure, and does nothing where nothing changed.
#
#   scripts/setup.sh demo     python environment, git, bubblewrap
#   scripts/setup.sh test     the same, and what the tests run: a PostgreSQL server, MCP servers in .servers/venv
#   scripts/setup.sh bench    the same as demo, and the engines that we are measured against, in .bench/venv
#
# System packages are installed when we may (root, or sudo without a password); else the command to run is printed and the
# exit is non-zero. PYTHON=/path/to/python3.12 chooses another interpreter.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
purpose=${1:-test}
case $purpose in demo | test | bench) ;; *) echo "setup: unknown purpose '$purpose', expected demo, test or bench" >&2; exit 2 ;; esac

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# Two make calls at once: the second waits for the first and then finds everything done. The lock is on this very file, so
# that it leaves nothing behind; every command below closes it (9>&-), for a daemon that apt starts would hold it for ever.
exec 9<"${BASH_SOURCE[0]}"
flock 9

# --- what is missing on this machine ------------------------------------------------------------------------------------
find_python() {
    local candidate found=""
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        command -v "$candidate" >/dev/null || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
        found="$candidate is $("$candidate" -c 'import platform; print(platform.python_version())' 2>/dev/null || echo broken)"
    done
    die "Python 3.11 or newer is needed, ${found:-none was found}; install one and run again with PYTHON=/path/to/python3.11"
}

has_postgres() {
    command -v initdb >/dev/null && return
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null
}

missing_packages() {
    command -v git >/dev/null || echo git
    if [ ! -x .venv/bin/python ] && ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        # Debian's own python3 has its package by that name; any other version carries its number.
        "$python" -c 'import sys; v = "python%d.%d" % sys.version_info[:2]; print(v + "-venv")'
    fi
    # Everything that a loop runs, it runs in a sandbox: the demo too.
    command -v bwrap >/dev/null || echo bubblewrap
    if [ "$purpose" = test ]; then
        # A container engine without a daemon, for the container backend; runc takes every layout of control groups.
        command -v podman >/dev/null || echo podman
        command -v runc >/dev/null || echo runc
        has_postgres || echo postgresql
    fi
}

# --- doing it -----------------------------------------------------------------------------------------------------------
log=""
trap '[ -z "$log" ] || rm -f "$log"' EXIT

# Runs quietly; on failure shows the end of what the command printed.
quietly() {
    log=${log:-$(mktemp)}
    "$@" >"$log" 2>&1 </dev/null 9>&- && return
    local code=$?
    tail -n 25 "$log" >&2
    return $code
}

install_packages() {
    local -a elevate=() apt
    local by_hand="apt-get install -y --no-install-recommends $*"
    command -v apt-get >/dev/null || die "missing: $*; there is no apt-get here, install them with this system's own means and run again"
    if [ "$(id -u)" -ne 0 ]; then
        if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then elevate=(sudo -n); else
            say "missing system packages: $*. Install them with the next line and run again:"
            printf '    sudo apt-get update && sudo %s\n' "$by_hand" >&2
            exit 1
        fi
    fi
    apt=("${elevate[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -o DPkg::Lock::Timeout=120)
    say "installing system packages: $*"
    # Package lists are fetched only when what is there does not do: most machines have them.
    if ! quietly "${apt[@]}" install --no-install-recommends "$@" 2>/dev/null; then
        quietly "${apt[@]}" update || die "apt-get update failed"
        quietly "${apt[@]}" install --no-install-recommends "$@" || die "could not install: $* (by hand: sudo $by_hand)"
    fi
}

# environment DIR LOCK: a virtual environment that holds exactly what the lock names, each file checked against its hash.
environment() {
    local dir=$1 lock=$2 bin=$1/bin
    # An environment of another interpreter or another place (its scripts hold the path), or a broken one, is made anew; pip may
    # be absent where uv made it.
    if [ "$(cat "$dir/.place" 2>/dev/null || echo "$PWD")" != "$PWD" ] \
        || [ "$("$bin/python" -c 'import sys; print(sys.version)' 2>/dev/null)" != "$python_version" ] \
        || { ! "$bin/python" -m pip --version && ! "$bin/python" -m ensurepip; } >/dev/null 2>&1; then
        quietly "$python" -m venv --clear "$dir" || die "could not create $dir"
    fi
    echo "$PWD" >"$dir/.place"
    # uv is one more locked dependency: its lines are taken from the lock, so there is one place that says which uv.
    if [ ! -x "$bin/uv" ]; then
        sed -n '/^uv==/,/^[^ ]/{/^uv==/p;/^ /p}' requirements.lock >"$dir/uv.lock"
        quietly "$bin/python" -m pip install --disable-pip-version-check --require-hashes --no-deps -r "$dir/uv.lock" \
            || die "could not install uv"
    fi
    # A machine whose package mirror is known to pip alone (pip.conf) still gets there, a little slower.
    quietly "$bin/uv" pip sync --python "$bin/python" --require-hashes "$lock" 2>/dev/null \
        || quietly "$bin/python" -m pip install --disable-pip-version-check --require-hashes --no-deps -r "$lock" \
        || die "could not install $lock"
}

# key FILE...: changes when a file, the interpreter or the place of the checkout does (scripts in a venv hold its path).
key() { { echo "$PWD $python_version"; cat scripts/setup.sh "$@"; } | sha256sum | cut -d' ' -f1; }
done_already() { [ -e "$1" ] && [ "$(cat "$1")" = "$2" ] && [ -x "$(dirname "$1")/bin/python" ]; }

python=$(find_python) || exit 1
python_version=$("$python" -c 'import sys; print(sys.version)')

mapfile -t missing < <(missing_packages)
[ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"

wanted=$(key requirements.lock pyproject.toml)
if ! done_already .venv/.stamp "$wanted"; then
    say "python environment .venv (once)"
    rm -f .venv/.stamp
    environment .venv requirements.lock
    # hatchling is in the lock: nothing is fetched for this step.
    quietly .venv/bin/uv pip install --python .venv/bin/python --no-deps --no-build-isolation --offline -e . \
        || quietly .venv/bin/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation --no-index -e . \
        || die "could not install loopwright into .venv"
    echo "$wanted" >.venv/.stamp
fi

if [ "$purpose" = test ]; then
    wanted=$(key requirements-servers.lock)
    if ! done_already .servers/venv/.stamp "$wanted"; then
        say "the MCP servers that the tests talk to, in .servers/venv (once)"
        mkdir -p .servers
        rm -f .servers/venv/.stamp
        environment .servers/venv requirements-servers.lock
        echo "$wanted" >.servers/venv/.stamp
    fi
fi

if [ "$purpose" = bench ]; then
    wanted=$(key requirements-bench.lock)
    if ! done_already .bench/venv/.stamp "$wanted"; then
        say "the engines to compare with, in .bench/venv (once)"
        mkdir -p .bench
        rm -f .bench/venv/.stamp
        environment .bench/venv requirements-bench.lock
        echo "$wanted" >.bench/venv/.stamp
    fi
fi
