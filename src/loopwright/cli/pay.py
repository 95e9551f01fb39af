"""The payment verbs, for the person who pays: sign a mandate, show the key that a policy must name."""

from pathlib import Path
from typing import Annotated

import typer

from loopwright.cli.options import Directory, Json

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    pay = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="What loops may pay, signed by you.")
    pay.command("mandate")(mandate)
    pay.command("key")(key)
    app.add_typer(pay, name="pay")


KeyFile = Annotated[
    Path | None, typer.Option("--key", metavar="FILE", help="Another private key than your own of this machine.")
]


def mandate(
    payee: Annotated[str, typer.Option("--payee", metavar="P", help="The account, byte for byte.")],
    amount: Annotated[str, typer.Option("--amount", metavar="12.34", help="Exactly this is paid, once.")],
    currency: Annotated[str, typer.Option("--currency", metavar="EUR")],
    loop: Annotated[str, typer.Option("--loop", metavar="NAME", help="The loop that may pay.")],
    days: Annotated[int, typer.Option("--days", metavar="N", min=1, max=366, help="So long it holds.")] = 7,
    key_file: KeyFile = None,
    directory: Directory = Path(),
    as_json: Json = False,
) -> None:
    """Sign that a loop may pay this amount to this payee, once, and put the mandate where its runs look."""
    import os
    import time

    from loopwright.cli.console import emit, note, say
    from loopwright.engine.boundary import POLICY_FILE, read_policy
    from loopwright.engine.mandates import minor_units, payment_key, put_mandate
    from loopwright.engine.site import open_site
    from loopwright.policy.policy import Policy
    from loopwright.tools.approvals.safe_text import flags, shown

    site = open_site(directory, os.environ)
    root = site.repository.root
    amount_minor = minor_units(amount, currency)
    rules = (read_policy(root) or Policy()).pay
    chosen = None if key_file is None else directory / key_file
    own, place, made = payment_key(os.environ, chosen, outside=root)
    signed, path = put_mandate(
        os.environ,
        own,
        payee=payee,
        amount_minor=amount_minor,
        currency=currency,
        task=loop,
        rail="sandbox" if rules is None else rules.rail,
        now_ms=site.now_ms(),
        days=days,
        outside=root,
    )
    public = own.verifier.public.hex()
    missing = []
    if rules is None or public not in rules.keys:
        missing.append(f'{POLICY_FILE}: [pay] keys lacks your key, so no mandate of yours counts; add "{public}"')
    if rules is None or payee not in [known.account for known in rules.payees]:
        missing.append(f"{POLICY_FILE}: [[pay.payees]] lacks account {shown(payee)!r}, so it is not paid; add it")
    if as_json:
        emit(
            {
                "mandate": signed,
                "file": str(path),
                "key": public,
                "missing": missing,
                "exit_code": 0,
                "stop_reason": "signed",
            }
        )
        return
    if made:
        note(f"made {place}: keep it to yourself")
    until = time.strftime("%Y-%m-%d %H:%M", time.gmtime(signed.exp_ms / 1000))
    say(f"mandate {signed.id}: loop {loop} may pay {amount} {currency} to {shown(payee)}, once, until {until}Z")
    for flag in flags(payee):
        say(f"  LOOK: the payee {flag}")
    say(f"  file  {path}")
    say(f"  key   {public}")
    for line in missing:
        note(line)


def key(key_file: KeyFile = None, directory: Directory = Path(), as_json: Json = False) -> None:
    """Print your public key for the policy's `[pay] keys`; the key is made at first use."""
    import os

    from loopwright.cli.console import emit, note, say
    from loopwright.engine.mandates import payment_key
    from loopwright.engine.site import open_site

    site = open_site(directory, os.environ)
    chosen = None if key_file is None else directory / key_file
    own, place, made = payment_key(os.environ, chosen, outside=site.repository.root)
    public = own.verifier.public.hex()
    if as_json:
        emit({"key": public, "file": str(place), "made": made, "exit_code": 0, "stop_reason": "shown"})
        return
    if made:
        note(f"made {place}: keep it to yourself, and a copy of it")
    say(public)
