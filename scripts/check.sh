#!/usr/bin/env bash
# Every static check, all of them even when one fails; the exit says whether all passed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
failed=()

check() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1 </dev/null); then
        printf 'ok    %s\n' "$name"
    else
        printf '%s\nFAIL  %s\n' "$output" "$name"
        failed+=("$name")
    fi
}

check "format" .venv/bin/ruff format --check
check "lint" .venv/bin/ruff check
check "types" .venv/bin/mypy
check "layers" .venv/bin/lint-imports
check "generated docs" .venv/bin/python scripts/generate_docs.py --check
if [ ${#failed[@]} -gt 0 ]; then
    printf 'check failed: %s\n' "${failed[*]}"
    exit 1
fi
