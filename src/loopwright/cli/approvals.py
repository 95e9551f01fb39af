"""The verbs of whoever is asked: what waits, yes, no.

An approval is of what was shown: of a call it carries the digest and the nonce of the ask, and of a call that cannot be taken back a
word that the person types.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from loopwright.cli.options import Directory, Json, Unsandboxed

if TYPE_CHECKING:
    from loopwright.engine.site import Site
    from loopwright.tools.approvals.answer import OpenAsk

__all__ = ["register"]

Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, kept in the journal.")]
AskNames = Annotated[
    list[str], typer.Argument(metavar="ID...", help="As `loopwright approvals` shows it: RUN:ASK; several of one run.")
]
Answer = Literal["approve", "deny"]

PERSON = "person"
_DIGEST_CHARS = 12
"""So many characters of a digest are enough to say which call was looked at."""


def register(app: typer.Typer) -> None:
    app.command("approvals")(approvals)
    app.command("approve")(approve)
    app.command("deny")(deny)


def approvals(directory: Directory = Path(), as_json: Json = False) -> None:
    """What waits for a person: the exact call, what it changes, where each argument came from, how to answer."""
    import os
    import time

    from loopwright.cli.console import emit, say
    from loopwright.engine import runs
    from loopwright.engine.site import open_site
    from loopwright.kernel import events as ev
    from loopwright.tools.approvals.answer import open_asks
    from loopwright.tools.approvals.safe_text import shown

    site = open_site(directory, os.environ)
    waiting: list[OpenAsk] = []
    for head in runs.run_heads(site):
        last = next(site.journal.read(head.run_id, after=head.seq - 1), None)
        if last is not None and not isinstance(last.body, ev.RunFinished):
            waiting += open_asks(site.journal, head.run_id, site.now_ms)
    if as_json:
        emit({"approvals": [{"id": _id(ask), "run": ask.run_id, "ask": ask} for ask in waiting]})
        return
    if not waiting:
        say("nothing waits for you")
    for ask in waiting:
        say(f"{_id(ask)}  {shown(ask.question, limit_chars=2_000)}")
        if ask.tool is None:
            say(f"  loopwright approve {_id(ask)}   or   loopwright deny {_id(ask)}")
            continue
        for line in ask.card.splitlines():
            say(f"  {line}")
        assert ask.expires_at_ms is not None
        until = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(ask.expires_at_ms / 1000))
        if site.now_ms() >= ask.expires_at_ms:
            say(f"  EXPIRED    {until}Z; loopwright deny {_id(ask)}   and the call can be asked again")
        else:
            say(f"  EXPIRES    {until}Z")
            say(f"  ANSWER     {_command(ask)}   or   loopwright deny {_id(ask)}")


def approve(
    asks: AskNames,
    confirm: Annotated[
        str | None,
        typer.Option("--confirm", metavar="TEXT", help="For what cannot be taken back: the tool's name, typed."),
    ] = None,
    digest: Annotated[
        str | None,
        typer.Option("--digest", metavar="HEX", help="The digest that you were shown; another call is refused."),
    ] = None,
    why: Why = "",
    directory: Directory = Path(),
    unsandboxed: Unsandboxed = False,
    as_json: Json = False,
) -> None:
    """Answer a waiting question with yes: this call, once."""
    _answer(asks, "approve", why, directory, confirm, digest, unsandboxed=unsandboxed, as_json=as_json)


def deny(
    asks: AskNames,
    why: Why = "",
    directory: Directory = Path(),
    unsandboxed: Unsandboxed = False,
    as_json: Json = False,
) -> None:
    """Answer a waiting question with no."""
    _answer(asks, "deny", why, directory, None, None, unsandboxed=unsandboxed, as_json=as_json)


def _answer(
    names: list[str],
    reply: Answer,
    why: str,
    directory: Path,
    confirm: str | None,
    digest: str | None,
    *,
    unsandboxed: bool,
    as_json: bool,
) -> None:
    import os

    from loopwright.cli.control import take_over
    from loopwright.engine import runs
    from loopwright.engine.site import open_site, prove_isolation
    from loopwright.errors import UsageError
    from loopwright.tools.approvals.answer import answer_together, open_asks

    named = [_split(name) for name in names]
    site = open_site(directory, os.environ, unsandboxed=unsandboxed)
    (run_id, *others) = dict.fromkeys(runs.resolve(site, run) for run, _ in named)
    if others:
        raise UsageError(
            f"{names[0]!r} and {names[1]!r}: expected asks of one run, found {len(others) + 1} runs; answer each run on its own"
        )
    state = runs.load(site, run_id)
    if state.finished is not None:
        raise UsageError(f"run {run_id} is finished already ({state.finished.reason}: {_safe(state.finished.summary)})")
    known = {ask.ask_id: ask for ask in open_asks(site.journal, run_id, site.now_ms)}
    for _, ask_id in named:
        if ask_id not in known:
            raise UsageError(f"{run_id}:{ask_id}: nothing of that name waits; `loopwright approvals` shows what does")
    asks = [known[ask_id] for _, ask_id in named]
    if reply == "approve":
        _check_named_exactly(asks, named, digest)
    if len(asks) == 1:
        _answer_one(site, asks[0], reply, why, confirm, digest)
    elif confirm is not None or digest is not None:
        raise UsageError("--confirm and --digest are of one ask, found several; approve them one by one")
    else:
        answer_together(
            site.journal, run_id, [ask.ask_id for ask in asks], reply, by=PERSON, why=why, now_ms=site.now_ms
        )
    if not runs.is_driven(site, run_id):
        prove_isolation(site)
    take_over(site, run_id, "answer", as_json=as_json)


def _answer_one(site: "Site", ask: "OpenAsk", reply: Answer, why: str, confirm: str | None, digest: str | None) -> None:
    from loopwright.engine import runs
    from loopwright.kernel import events as ev
    from loopwright.tools.approvals.answer import answer

    if ask.tool is None:
        runs.request(site, ask.run_id, ev.Answered(ask.ask_id, reply, PERSON, why))
        return
    if reply == "approve":
        confirm = _confirmed(site, ask, confirm)
    answer(
        site.journal,
        ask.run_id,
        ask.ask_id,
        reply,
        by=PERSON,
        why=why,
        now_ms=site.now_ms,
        digest=_full(ask, digest),
        nonce=ask.nonce,
        confirm=confirm,
    )


def _confirmed(site: "Site", ask: "OpenAsk", confirm: str | None) -> str | None:
    """What the person typed for a call that cannot be taken back; asked for on a terminal, refused where nobody can type."""
    import sys

    from loopwright.errors import UsageError

    if not ask.step_up or confirm is not None:
        return confirm
    assert ask.expires_at_ms is not None
    if site.now_ms() >= ask.expires_at_ms:
        return None  # the answer is refused for being late; nobody need type for that
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"{_id(ask)}: expected --confirm, since this call cannot be taken back, found none; look at `loopwright approvals`,"
            f" then: {_command(ask)}"
        )
    # Not `typer.prompt`: a part of its prompt goes to stdout, which is for the result alone.
    sys.stderr.write(f"{ask.card}type {_safe(ask.tool or '')} to approve: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def _check_named_exactly(asks: "list[OpenAsk]", named: list[tuple[str, str]], digest: str | None) -> None:
    """`last` and prefixes move: the call that they mean must not become another between looking and answering."""
    from loopwright.errors import UsageError

    for ask, (run, _) in zip(asks, named, strict=True):
        if ask.tool is not None and digest is None and run != ask.run_id:
            raise UsageError(
                f"{run}:{ask.ask_id}: expected the run in full, or --digest with what you were shown, since {run!r} may mean"
                f" another run by now; type: {_command(ask)}"
            )


def _full(ask: "OpenAsk", digest: str | None) -> str | None:
    if digest is None or (len(digest) >= _DIGEST_CHARS and (ask.digest or "").startswith(digest.lower())):
        return ask.digest
    return digest


def _split(name: str) -> tuple[str, str]:
    from loopwright.errors import UsageError

    run, separator, ask_id = name.rpartition(":")
    if not separator:
        raise UsageError(f"{name!r}: expected RUN:ASK as `loopwright approvals` shows it")
    return run, ask_id


def _command(ask: "OpenAsk") -> str:
    import shlex

    confirm = f" --confirm {shlex.quote(_safe(ask.tool or ''))}" if ask.step_up else ""
    return f"loopwright approve {_id(ask)} --digest {(ask.digest or '')[:_DIGEST_CHARS]}{confirm}"


def _id(ask: "OpenAsk") -> str:
    return f"{ask.run_id}:{ask.ask_id}"


def _safe(text: str) -> str:
    from loopwright.tools.approvals.safe_text import shown

    return shown(text)
