"""A bank for tests and demonstrations: a real HTTP server on loopback that keeps its book in SQLite and moves no money.

`python -m loopwright.tools.pay.bank BOOK [PORT]` prints its URL and serves until it is ended. Each idempotency key is one row, written
in one transaction: paid once, or void for ever. `GET /payments` lists what was paid; `GET /goods/<name>` answers 402 with a quote.
"""

import json
import sqlite3
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

__all__ = ["SandboxBank"]

_MAX_BODY_BYTES: Final = 64 << 10
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS payments (key TEXT PRIMARY KEY, id TEXT, payee TEXT, currency TEXT, amount_minor INTEGER,"
    " reference TEXT, at_ms INTEGER)"
)
_ROW: Final = "SELECT id, key, payee, currency, amount_minor, at_ms, reference FROM payments"
_QUOTE: Final = {
    "x402Version": 1,
    "error": "payment required",
    "accepts": [
        {
            "scheme": "exact",
            "payTo": "shop.example",
            "asset": "USD",
            "network": "sandbox",
            "maxAmountRequired": "250",
            "nonce": "order-1",
        }
    ],
}


class SandboxBank:
    """Serves from a thread between `start` and `stop`; `url` is where. The book outlives it. An account is never short of money."""

    def __init__(self, book: Path, port: int = 0) -> None:
        self._book = book
        self._mutex = threading.Lock()
        with self._open() as db:
            db.execute(_SCHEMA)
        handler = type("Handler", (_Handler,), {"bank": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._server.daemon_threads = True
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        if self._thread is not None:
            self._thread.join()

    def serve(self) -> None:
        """Until the process ends."""
        self._server.serve_forever()

    def payments(self) -> list[dict[str, object]]:
        """What was paid, in the order in which it was."""
        with self._mutex, self._open() as db:
            return [_shown(row) for row in db.execute(_ROW + " WHERE id IS NOT NULL ORDER BY rowid")]

    def pay(
        self, key: str, payee: str, currency: str, amount_minor: int, reference: str
    ) -> tuple[int, dict[str, object]]:
        """HTTP status and body: 201 paid now, 200 paid before, 409 the key paid something else, 410 the key is void."""
        with self._mutex, self._open() as db:
            at_ms = time.time_ns() // 1_000_000
            row = (key, f"pay-{key}", payee, currency, amount_minor, reference, at_ms)
            new = db.execute("INSERT OR IGNORE INTO payments VALUES (?, ?, ?, ?, ?, ?, ?)", row).rowcount == 1
            found = db.execute(_ROW + " WHERE key = ?", (key,)).fetchone()
            if found[0] is None:
                return 410, {"error": "the key is void"}
            if (found[2], found[3], found[4], found[6]) != (payee, currency, amount_minor, reference):
                return 409, {"error": "the key paid something else"}
            return 201 if new else 200, _shown(found)

    def settle(self, key: str) -> tuple[int, dict[str, object]]:
        """200 and the payment, or 410: nothing was paid for `key`, and from now on nothing can be."""
        with self._mutex, self._open() as db:
            db.execute("INSERT OR IGNORE INTO payments (key) VALUES (?)", (key,))
            found = db.execute(_ROW + " WHERE key = ?", (key,)).fetchone()
            return (410, {"error": "nothing was paid"}) if found[0] is None else (200, _shown(found))

    def _open(self) -> "_Book":
        return _Book(self._book)


class _Book:
    """A connection for one transaction."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)

    def __enter__(self) -> sqlite3.Connection:
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("BEGIN IMMEDIATE")
        return self._db

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            self._db.execute("COMMIT" if kind is None else "ROLLBACK")
        finally:
            self._db.close()


def _shown(row: tuple[object, ...]) -> dict[str, object]:
    return dict(zip(("payment_id", "key", "payee", "currency", "amount_minor", "at_ms"), row[:6], strict=True))


class _Handler(BaseHTTPRequestHandler):
    bank: SandboxBank
    protocol_version = "HTTP/1.1"
    timeout = 10

    def do_GET(self) -> None:
        if self.path == "/payments":
            self._answer(200, {"payments": self.bank.payments()})
        elif self.path.startswith("/goods/"):
            self._answer(402, _QUOTE)
        else:
            self._answer(404, {"error": "no such page"})

    def do_POST(self) -> None:
        order = self._order()
        key = self.headers.get("Idempotency-Key", "")
        if order is None or not key:
            self._answer(422, {"error": "expected an Idempotency-Key and an order"})
        elif self.path == "/payments":
            self._answer(*self.bank.pay(key, *order))
        elif self.path == "/settlements":
            self._answer(*self.bank.settle(key))
        else:
            self._answer(404, {"error": "no such page"})

    def _order(self) -> tuple[str, str, int, str] | None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _MAX_BODY_BYTES:
            self.close_connection = True
            return None
        try:
            value = json.loads(self.rfile.read(int(length)))
            order = value["payee"], value["currency"], value["amount_minor"], value["reference"]
        except (ValueError, KeyError, TypeError):
            return None
        payee, currency, amount_minor, reference = order
        texts = all(isinstance(text, str) for text in (payee, currency, reference))
        return order if texts and type(amount_minor) is int and amount_minor > 0 else None

    def _answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: what is asked of a bank is not printed."""


if __name__ == "__main__":
    bank = SandboxBank(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    sys.stdout.write(bank.url + "\n")
    sys.stdout.flush()
    bank.serve()
