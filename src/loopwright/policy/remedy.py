"""What a person reads when something is asked about or refused: one plain line of reason, and the smallest change that would allow it."""

from loopwright.policy.identifiers import Identifier

__all__ = ["for_hole", "for_identifier", "shown"]

_KINDS = {
    "url": "a web address",
    "mail": "a mail address",
    "iban": "an account number",
    "digits": "a long number",
    "code": "a code",
}


def shown(text: str, limit: int = 80) -> str:
    """`text` in quotes on one line, every character that does not show escaped."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return "'" + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut) + "'"


def for_hole(kind: str, path: str, text: str, tool: str) -> tuple[str, str]:
    """`(why, remedy)` for an argument that broke its hole."""
    value = shown(text)
    name = path.split("[")[0].split(".")[0]
    match kind:
        case "pinned":
            return (
                f"{path} is {value}, the plan fixed another value",
                f"pin {name} to {value} in the plan's step of {tool!r}",
            )
        case "template":
            return (
                f"{path} is {value}, which is not the text that the plan fixed",
                f"give {name} as that text in the plan's step of {tool!r}",
            )
        case "target":
            return f"{path} is {value}, and the user named no such recipient or address", f"write {value} in the task"
        case "object":
            return (
                f"{path} is {value}, which the user did not name and this run did not make",
                f"write {value} in the task",
            )
        case "amount":
            return f"{path} is {value}, and the task speaks of no such amount", f"write the amount {value} in the task"
        case "time":
            return f"{path} is {value}, another day than those of the task", f"write the date {value} in the task"
        case "secret":
            return f"{path} names the secret {value}, and the task does not", f"write {value} in the task"
        case _:
            return (
                f"{path} is {value}, which is no plain switch",
                f"pin {name} to {value} in the plan's step of {tool!r}",
            )


def for_identifier(path: str, found: Identifier, tool: str) -> tuple[str, str]:
    """`(why, remedy)` for a text that names what neither the user nor a public field named."""
    return (
        f"{path} holds {_KINDS[found.kind]}, {shown(found.text)}, that neither the task nor a public field has",
        f"write {shown(found.text)} in the task",
    )
