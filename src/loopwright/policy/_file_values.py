"""What single values of a policy file may be: exact names, hosts, paths inside the repository, hashes. There are no wildcards."""

import re
from typing import Final

import msgspec

from loopwright.policy._toml import Table, quoted
from loopwright.policy.paths import clean

__all__ = ["exact_name", "exact_names", "folders", "host", "hosts", "json_text", "sha256"]

_HOST: Final = re.compile(
    r"(?:[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?"
)
"""A name or an address, with a port where it is not the usual one of https."""
_HEX64: Final = re.compile(r"[0-9a-f]{64}")


def json_text(table: Table, key: str, value: object) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except TypeError:
        table.wrong(key, f"expected a text, a number, true or false, or a list of them, found {quoted(value)}")
        return "null"


def exact_name(table: Table, key: str) -> str:
    value = table.text(key)
    if "*" in value or "?" in value:
        table.wrong(key, f"expected an exact name, found the pattern {quoted(value)}; there are no wildcards")
    return value


def exact_names(table: Table, key: str) -> tuple[str, ...]:
    names = table.texts(key)
    for name in names:
        if "*" in name or "?" in name or not name.strip():
            table.wrong(key, f"expected exact names, found {quoted(name)}; there are no wildcards")
    return names


def hosts(table: Table) -> tuple[str, ...]:
    names = table.texts("hosts")
    for name in names:
        _check_host(table, "hosts", name)
    return names


def host(table: Table, key: str) -> str:
    name = table.text(key)
    if name:
        _check_host(table, key, name)
    return name


def _check_host(table: Table, key: str, name: str) -> None:
    if not _HOST.fullmatch(name):
        table.wrong(
            key,
            f"expected a host's exact name in lower case, with `:port` if it is not 443, without scheme and `*`, found {quoted(name)}",
        )


def folders(table: Table, key: str) -> tuple[str, ...]:
    paths = table.texts(key)
    for folder in paths:
        if clean(folder) is None or "*" in folder:
            table.wrong(key, f"expected a path inside the repository, without `..` and `*`, found {quoted(folder)}")
    return paths


def sha256(table: Table, key: str) -> str:
    value = table.text(key)
    if value and not _HEX64.fullmatch(value):
        table.wrong(key, f"expected a SHA-256 as 64 hex digits in lower case, found {quoted(value)}")
    return value
