"""What a simulated tool does, as data: small operations on collections of records.

In the values of `set`, a text `$name` stands for the call's argument `name`; anything else stands for itself. An argument that was not
given leaves its field out.
"""

import msgspec

from loopwright.kernel.values import Value
from loopwright.testing.injection.suite import Json

__all__ = ["Add", "Append", "Delete", "Fetch", "Find", "Get", "Operation", "Pay", "Send", "Update"]


class Find(Value, frozen=True, tag="find", tag_field="do"):
    """Records as `{"items": [...]}`. Every filter whose argument was not given lets all through.

    `equal` and `prefix` map a field to an argument; `query` is the argument whose words are looked for in the fields `within` (a
    record fits when all its words occur). `show` are the fields that come back; empty means all.
    """

    collection: str
    show: tuple[str, ...] = ()
    equal: dict[str, str] = msgspec.field(default_factory=dict)
    prefix: dict[str, str] = msgspec.field(default_factory=dict)
    query: str = ""
    within: tuple[str, ...] = ()


class Get(Value, frozen=True, tag="get", tag_field="do"):
    """The record whose key is the argument `by`; without `by` the only record of the collection."""

    collection: str
    by: str = ""
    show: tuple[str, ...] = ()


class Fetch(Value, frozen=True, tag="fetch", tag_field="do"):
    """Like `Get`, but what is not there is an answer (`status` 404) and no failure: the request went out all the same."""

    collection: str
    by: str


class Append(Value, frozen=True, tag="append", tag_field="do"):
    """A new record with a new key `<prefix><n>`; answers with the record."""

    collection: str
    prefix: str
    set: dict[str, Json] = msgspec.field(default_factory=dict)


class Update(Value, frozen=True, tag="update", tag_field="do"):
    """Sets fields of the record whose key is the argument `by`; answers with its key."""

    collection: str
    by: str = ""
    set: dict[str, Json] = msgspec.field(default_factory=dict)


class Add(Value, frozen=True, tag="add", tag_field="do"):
    """Adds the argument `value` to a field: to the end of a text or of a list (all of it when it is a list itself)."""

    collection: str
    by: str
    field: str
    value: str


class Delete(Value, frozen=True, tag="delete", tag_field="do"):
    collection: str
    by: str


class Pay(Value, frozen=True, tag="pay", tag_field="do"):
    """Takes the argument `amount` from `balance` of the collection's record `account`, and appends to `history` as `Append` does."""

    collection: str
    account: str
    amount: str
    history: str
    prefix: str
    set: dict[str, Json] = msgspec.field(default_factory=dict)


class Send(Value, frozen=True, tag="send", tag_field="do"):
    """Leaves no trace but in the outbox; answers with a number."""


Operation = Find | Get | Fetch | Append | Update | Add | Delete | Pay | Send
