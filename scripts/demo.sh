#!/usr/bin/env bash
# The main job on a real little repository with a real failing test: no account, no key, no network. A second call starts anew.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
source=$root/examples/pricing
demo=$root/.demo/pricing

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n%s\n' "$*"; }

if [ ! -x "$root/.venv/bin/loopwright" ]; then
    echo "demo: .venv/bin/loopwright is not there; run 'make demo', which sets it up" >&2
    exit 1
fi
export PATH=$root/.venv/bin:$PATH
# The demo's journal is made anew each time; its audit key and checkpoints are its own, not the user's.
export XDG_CONFIG_HOME=$root/.demo/config XDG_STATE_HOME=$root/.demo/state
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null LC_ALL=C

# --- a repository with three commits: what was there, a feature with a bug in it, and the ticket with a test that shows it ---
# The cached trees of an earlier demo are read-only, and only root removes those as they are.
[ ! -e "$demo" ] || chmod -R u+w "$demo"
rm -rf "$demo" "$root/.demo/config" "$root/.demo/state"
mkdir -p "$demo"
git -C "$demo" init -q -b main

commit() { # commit DATE MESSAGE PATH...
    local date=$1 message=$2 path
    shift 2
    for path in "$@"; do
        mkdir -p "$demo/$(dirname "$path")"
        cp "$source/$path" "$demo/$path"
    done
    git -C "$demo" add -- "$@"
    GIT_AUTHOR_NAME='Tea Shop' GIT_AUTHOR_EMAIL=dev@teashop.example GIT_AUTHOR_DATE=$date \
        GIT_COMMITTER_NAME='Tea Shop' GIT_COMMITTER_EMAIL=dev@teashop.example GIT_COMMITTER_DATE=$date \
        git -C "$demo" commit -q -m "$message"
}

commit 2026-02-02T09:00:00Z 'Catalogue, orders, vouchers' \
    .gitignore README.md pyproject.toml src/pricing/{money,catalogue,order,voucher}.py \
    tests/{conftest,test_money,test_catalogue,test_order,test_voucher}.py
commit 2026-02-20T15:30:00Z 'Shipping by zone and weight, free for larger orders; invoices' \
    src/pricing/{__init__,shipping,invoice}.py tests/test_{shipping,invoice}.py
commit 2026-03-02T11:15:00Z 'Ticket 001 and a test that shows it' \
    tickets/001-free-shipping-with-voucher.md tests/test_ticket_001.py loops/fix.md

say 'A tea shop has a ticket, and a test that fails:'
sed -n '/^---$/,/^---$/!p' "$demo/tickets/001-free-shipping-with-voucher.md"
before=$(git -C "$demo" rev-parse HEAD)

ticket=tickets/001-free-shipping-with-voucher.md
say "\$ loopwright run loops/fix.md --ticket $ticket -C .demo/pricing"
status=0
(cd "$demo" && loopwright run loops/fix.md --ticket "$ticket" -C "$demo") || status=$?

result=$(git -C "$demo" for-each-ref --sort=-committerdate --format='%(refname:short)' 'refs/heads/loopwright/' | head -n 1)
if [ "$status" -ne 0 ] || [ -z "$result" ]; then
    echo "demo: the loop ended with exit status $status and no repaired branch; the report is under $demo/.loopwright/runs" >&2
    exit $((status == 0 ? 1 : status))
fi

say "The branch $result"
git -C "$demo" --no-pager log --oneline --decorate=short "main..$result"
git -C "$demo" --no-pager diff "main..$result"

say 'Your checkout is as it was'
if [ "$(git -C "$demo" rev-parse HEAD)" != "$before" ] || [ "$(git -C "$demo" branch --show-current)" != main ] ||
    [ -n "$(git -C "$demo" status --porcelain)" ]; then
    echo "demo: the checkout in $demo was changed; that is a bug in loopwright" >&2
    exit 1
fi
git -C "$demo" status --short --branch

say 'What was tried, what was kept and why'
find "$demo/.loopwright/runs" -name 'report.md' -printf '%p\n' | sed "s|^$root/||" | sort
echo "To take it over: git -C .demo/pricing merge $result"
