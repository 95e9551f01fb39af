"""The policy verbs: is the file right, what would a run hold, and why was a call decided as it was."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loopwright.cli.options import Directory, Json, RunName

if TYPE_CHECKING:
    from loopwright.engine.granted import GrantedTool

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    policy = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="What runs may do, and why.")
    policy.command("check")(check)
    policy.command("show")(show)
    policy.command("explain")(explain)
    app.add_typer(policy, name="policy")


def check(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Default: loops/policy.toml.")] = None,
    directory: Directory = Path(),
    as_json: Json = False,
) -> None:
    """Is the policy file right; what it allows, asks about and denies, in words."""
    from loopwright.cli.console import emit, say
    from loopwright.engine.boundary import POLICY_FILE
    from loopwright.policy.file import parse_policy, policy_digest
    from loopwright.views.calls import check_text

    name = str(file or POLICY_FILE)
    text = _text(directory / name, name)
    lines = check_text(name, text)
    if as_json:
        digest = policy_digest(parse_policy(text, name))
        emit({"file": name, "digest": digest, "says": lines, "exit_code": 0, "stop_reason": "valid"})
        return
    for line in lines:
        say(line)


def show(directory: Directory = Path(), as_json: Json = False) -> None:
    """What a run of this repository holds: each tool with its effect, and what is granted and not there."""
    import os

    from loopwright.cli.console import emit, say, table
    from loopwright.engine.boundary import POLICY_FILE, read_policy
    from loopwright.engine.granted import granted
    from loopwright.engine.site import open_site
    from loopwright.policy.policy import Policy

    site = open_site(directory, os.environ)
    policy = read_policy(site.repository.root)
    found = granted(site, policy or Policy())
    if as_json:
        emit(
            {
                "file": None if policy is None else POLICY_FILE,
                "grant": found.grant,
                "tools": found.tools,
                "missing": found.missing,
                "exit_code": 0,
                "stop_reason": "shown",
            }
        )
        return
    if policy is None:
        say(f"{POLICY_FILE} is not there: no tool is granted, and no door is opened")
        return
    if found.tools:
        table([_row(tool) for tool in found.tools], ("TOOL", "EFFECT", "BACK", "FROM", "A RUN"))
    for line in found.missing:
        say(f"note  {_safe(line)}")
    hosts = ", ".join(found.grant.hosts) or "none"
    secrets = ", ".join(use.name for use in found.grant.secrets) or "none"
    say(f"hosts {_safe(hosts)}; writes below {_safe(', '.join(found.grant.write) or 'none')}; secrets {_safe(secrets)}")
    say("a loop's own `permit` narrows this further")


def explain(
    run: RunName,
    seq: Annotated[
        int, typer.Argument(metavar="SEQ", min=1, help="An event of the call; `loopwright log` numbers them.")
    ],
    directory: Directory = Path(),
    as_json: Json = False,
) -> None:
    """Why a call was allowed, asked about or refused, by which rule, and what came of it."""
    import os

    from loopwright.cli.console import emit, say
    from loopwright.engine import runs
    from loopwright.engine.site import open_site
    from loopwright.views.calls import explain as explained

    site = open_site(directory, os.environ)
    found = explained(site.journal.read(runs.resolve(site, run)), seq)
    if as_json:
        emit({"call": found, "exit_code": 0, "stop_reason": "explained"})
        return
    for line in found.lines():
        say(line)


def _row(tool: "GrantedTool") -> tuple[str, ...]:
    return (
        _safe(tool.name),
        tool.effect,
        "yes" if tool.reversible else "NO",
        _safe(tool.provider),
        _safe(tool.standing),
    )


def _text(path: Path, name: str) -> str:
    from loopwright.errors import UsageError

    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(
            f"policy file {name!r}: expected one, found none, so no tool is granted; write it, or name another file"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"policy file {name!r}: expected UTF-8 text, found {error}; save it as UTF-8") from error


def _safe(text: str) -> str:
    from loopwright.tools.approvals.safe_text import shown

    return shown(text)
