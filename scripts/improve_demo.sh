#!/usr/bin/env bash
# The metric loop on a real little network: measured noise, changes kept only where they are real, a held-out score before and after.
# No account, no key, no network; at most ten minutes. A second call starts anew.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
source=$root/examples/autoresearch
demo=$root/.demo/autoresearch

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n%s\n' "$*"; }

if [ ! -x "$root/.venv/bin/loopwright" ]; then
    echo "improve demo: .venv/bin/loopwright is not there; run 'make demo-improve', which sets it up" >&2
    exit 1
fi
export PATH=$root/.venv/bin:$PATH
# The demo's journal is made anew each time; its audit key and checkpoints are its own, not the user's.
export XDG_CONFIG_HOME=$root/.demo/improve-config XDG_STATE_HOME=$root/.demo/improve-state
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null LC_ALL=C PYTHONDONTWRITEBYTECODE=1

# The cached trees of an earlier demo are read-only, and only root removes those as they are.
[ ! -e "$demo" ] || chmod -R u+w "$demo"
rm -rf "$demo" "$XDG_CONFIG_HOME" "$XDG_STATE_HOME"
mkdir -p "$demo"
(cd "$source" && cp -r .gitignore README.md program.md digits.py evaluate.py holdout.py train.py loops "$demo/")
git -C "$demo" init -q -b main
git -C "$demo" add -A
GIT_AUTHOR_NAME=Research GIT_AUTHOR_EMAIL=dev@research.example GIT_AUTHOR_DATE=2026-03-02T09:00:00Z \
    GIT_COMMITTER_NAME=Research GIT_COMMITTER_EMAIL=dev@research.example GIT_COMMITTER_DATE=2026-03-02T09:00:00Z \
    git -C "$demo" commit -q -m 'A small network, and what measures it'

say 'A network with sensible, mediocre settings:'
grep 'tune:' "$demo/train.py"
before=$(git -C "$demo" rev-parse HEAD)

say '$ loopwright run loops/improve.md -C .demo/autoresearch'
status=0
(cd "$demo" && loopwright run loops/improve.md -C "$demo") || status=$?

# Ended by its own limits (4) or at a standstill (5): what was kept until then stands.
result=$(git -C "$demo" for-each-ref --sort=-committerdate --format='%(refname:short)' 'refs/heads/loopwright/' | head -n 1)
case $status in 0 | 4 | 5) ;; *) result= ;; esac
if [ -z "$result" ]; then
    echo "improve demo: the loop ended with exit status $status and no better network; the report is under $demo/.loopwright/runs" >&2
    exit $((status == 0 ? 1 : status))
fi
run=$(find "$demo/.loopwright/runs" -name results.tsv -printf '%h\n' | head -n 1)

say "The branch $result"
git -C "$demo" --no-pager log --oneline --decorate=short "main..$result"
git -C "$demo" --no-pager diff -U0 "main..$result" -- train.py | grep '^[-+][^-+]' || true

say 'Everything that was tried'
head -n 40 "$run/results.tsv"

say 'The head of the report'
head -n 40 "$run/report.md"
echo "…"
echo "The whole of it: ${run#"$root"/}/report.md"

if [ "$(git -C "$demo" rev-parse HEAD)" != "$before" ] || [ -n "$(git -C "$demo" status --porcelain)" ]; then
    echo "improve demo: the checkout in $demo was changed; that is a bug in loopwright" >&2
    exit 1
fi

# --- not the loop's own word: the held-out quarter, asked here and now, of both ---
say 'On the quarter of the data that nothing was chosen on (loss, mean of 5 runs; less is better)'
held_out() { # held_out COMMIT
    local place=$root/.demo/held-out
    rm -rf "$place"
    mkdir -p "$place"
    git -C "$demo" archive "$1" | tar -x -C "$place"
    for _ in 1 2 3 4 5; do (cd "$place" && python holdout.py); done |
        awk -F= '/^METRIC val_loss=/ { sum += $2; runs++ } END { if (runs != 5) exit 1; printf "%.4f\n", sum / runs }'
    rm -rf "$place"
}
old=$(held_out main)
new=$(held_out "$result")
echo "before $old, after $new"
if awk -v old="$old" -v new="$new" 'BEGIN { exit !(new > old - 0.01) }'; then
    echo "improve demo: the held-out loss is not clearly better than before; see the report" >&2
    exit 1
fi
echo "To take it over: git -C .demo/autoresearch merge $result"
