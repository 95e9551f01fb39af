"""The sections of a policy file about what else is let in: labels of tools, secrets, MCP servers, skills, payees."""

import re
import shlex
from typing import Final, get_args

from loopwright.kernel.calls import ArgumentRole, ToolEffect
from loopwright.policy._file_values import exact_names, host, hosts, sha256
from loopwright.policy._toml import Table, quoted
from loopwright.policy.policy import (
    McpServer,
    Payee,
    PayRules,
    RoleLabel,
    SecretSource,
    SecretSpec,
    SkillGrant,
    ToolLabels,
)

__all__ = ["labels", "pay", "secret", "server", "skill"]

_EFFECTS: Final = get_args(ToolEffect)
_ROLES: Final = get_args(ArgumentRole)
_HEX64: Final = re.compile(r"[0-9a-f]{64}")
_HEADER: Final = re.compile(r"[A-Za-z0-9-]+")


def labels(name: str, table: Table) -> ToolLabels:
    roles = table.table("roles")
    found = ToolLabels(
        tool=name,
        effect=(table.text("effect", among=_EFFECTS) or None),  # type: ignore[arg-type]
        roles=tuple(RoleLabel(key, roles.text(key, "content", among=_ROLES)) for key in roles.values)  # type: ignore[arg-type]
        if roles is not None
        else (),
        reversible=table.flag("reversible"),
        untrusted_output=table.flag("untrusted_output"),
        private_output=table.flag("private_output"),
        defines=bool(table.flag("defines")),
    )
    table.close()
    return found


def secret(name: str, table: Table) -> SecretSpec:
    table.need("source", "write env:NAME, keyring:SERVICE/USER, file:PATH or command:ARGV")
    header = table.text("header", "Authorization")
    spec = SecretSpec(
        name=name,
        source=_source(table),
        host=host(table, "host"),
        header=header,
        format=table.text("format", "Bearer {}" if header == "Authorization" else "{}"),
        canary=bool(table.flag("canary")),
    )
    if spec.format.count("{}") != 1:
        table.wrong("format", f"expected one {{}} where the value goes, found {quoted(spec.format)}")
    if not _HEADER.fullmatch(header):
        table.wrong("header", f"expected the name of a header, found {quoted(header)}")
    if not spec.canary:
        table.need("host", "a secret goes to one host only; write `canary = true` for one that goes nowhere")
    table.close()
    return spec


def _source(table: Table) -> SecretSource:
    value = table.text("source")
    kind, colon, rest = value.partition(":")
    if "source" in table.values and (
        kind not in ("env", "keyring", "file", "command") or not colon or not rest.strip()
    ):
        expected = "env:NAME, keyring:SERVICE/USER, file:PATH or command:ARGV"
        # The value is not repeated: a person may have written the secret itself here.
        table.wrong(
            "source", f"expected {expected}, found something else; never write the secret's value into this file"
        )
        return SecretSource("env", ())
    if kind == "keyring":
        service, slash, user = rest.rpartition("/")
        if not slash or not service or not user:
            table.wrong("source", f"expected keyring:SERVICE/USER, found {quoted(value)}")
        return SecretSource("keyring", (service, user))
    if kind == "command":
        return SecretSource("command", _argv(table, rest))
    return SecretSource("file" if kind == "file" else "env", (rest,))


def _argv(table: Table, text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        table.wrong("source", f"expected a command line, found {quoted(text)} ({error})")
        return ()


def server(name: str, table: Table) -> McpServer:
    table.need("command", "write the server's argv as a list")
    found = McpServer(
        name=name,
        command=table.texts("command"),
        package=table.text("package"),
        version=table.text("version"),
        package_sha256=sha256(table, "package_sha256"),
        tools_sha256=sha256(table, "tools_sha256"),
        hosts=hosts(table),
        labels=_server_labels(table),
    )
    table.close()
    return found


def _server_labels(table: Table) -> tuple[ToolLabels, ...]:
    """`labels = { search = "net_read" }`, or a table for each tool where more than the effect is said."""
    outer = table.table("labels")
    if outer is None:
        return ()
    found: list[ToolLabels] = []
    for tool, value in outer.values.items():
        if isinstance(value, dict):
            found.append(labels(tool, Table(value, (*outer.path, tool), outer.faults)))
        else:
            found.append(ToolLabels(tool, outer.text(tool, "destroy", among=_EFFECTS)))  # type: ignore[arg-type]
    return tuple(found)


def skill(name: str, table: Table) -> SkillGrant:
    found = SkillGrant(
        name=name,
        path=table.text("path"),
        tree_sha256=sha256(table, "tree_sha256"),
        tools=exact_names(table, "tools"),
        hosts=hosts(table),
        secrets=exact_names(table, "secrets"),
    )
    table.close()
    return found


def pay(table: Table | None) -> PayRules | None:
    if table is None:
        return None
    payees = []
    for row in table.rows("payees"):
        row.need("account", "it is compared byte by byte")
        payees.append(Payee(row.text("account"), row.text("name"), row.limit("cap_minor", None)))
        row.close()
    rules = PayRules(
        rail=table.text("rail", "sandbox"),
        currency=table.text("currency", "USD"),
        payees=tuple(payees),
        cap_minor=table.whole("cap_minor", 0),
        total_minor=table.whole("total_minor", 0),
        keys=table.texts("keys"),
    )
    if not re.fullmatch(r"[A-Z]{3}", rules.currency):
        table.wrong("currency", f"expected three capital letters such as EUR, found {quoted(rules.currency)}")
    for key in rules.keys:
        if not _HEX64.fullmatch(key):
            table.wrong("keys", f"expected public Ed25519 keys as 64 hex digits, found {quoted(key)}")
    table.close()
    return rules
