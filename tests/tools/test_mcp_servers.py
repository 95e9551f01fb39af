"""Real servers from the package index, pinned, run in the real sandbox and called."""

import asyncio
import http.server
import json
import os
import sqlite3
import subprocess
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from loopwright.errors import UsageError
from loopwright.journal.redact import Redactor
from loopwright.kernel.calls import ToolEffect
from loopwright.policy.policy import McpServer, ToolLabels
from loopwright.policy.values import Json
from loopwright.sandbox.bubblewrap import BubblewrapSandbox
from loopwright.sandbox.identity import sandbox_uid
from loopwright.secrets.broker import Broker
from loopwright.tools.mcp.egress import WayOut
from loopwright.tools.mcp.lock import read_pins
from loopwright.tools.mcp.package import package_of, resolved
from loopwright.tools.mcp.pin import pin_server
from loopwright.tools.mcp.process import Launch
from loopwright.tools.mcp.toolbox import McpToolbox, open_toolbox
from loopwright.tools.protocol import ToolContext, ToolOutput

ROOT = Path(__file__).parent.parent.parent
SERVERS = ROOT / ".servers" / "venv" / "bin"
PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass
class Stand:
    """One real server with the labels of this test, pinned and opened."""

    folder: Path
    server: McpServer
    arguments: tuple[str, ...]
    writable: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        # Where the sandbox's user is not ours, a folder that it only reads must be open to it.
        self.folder.chmod(0o755)
        self.sandbox = BubblewrapSandbox(self.folder / "homes", PATH, uid=sandbox_uid(os.environ))
        self.context = ToolContext(f"r{uuid.uuid4().hex[:12]}", "c1", "k1", self.sandbox, None, (), 60.0, lambda: 0)

    @asynccontextmanager
    async def box(self, egress: WayOut | None = None) -> AsyncIterator[McpToolbox]:
        argv = resolved((*self.server.command, *self.arguments), PATH)
        action = f"{self.context.run_id}/mcp"
        launch = Launch(argv, self.folder, action, writable=self.writable, start_timeout_s=60.0)
        lock = self.folder / "mcp.lock"
        await pin_server(self.server, lock, sandbox=self.sandbox, launch=launch, egress=egress)
        box = await open_toolbox(self.server, read_pins(lock)[0], sandbox=self.sandbox, launch=launch, egress=egress)
        try:
            yield box
        finally:
            await box.close()
            self.sandbox.close()

    async def call(self, box: McpToolbox, tool: str, arguments: dict[str, Json]) -> ToolOutput:
        (found,) = [t for t in box.tools if t.spec.name == f"{self.server.name}.{tool}"]
        await found.preview(arguments, self.context)
        return await found.call(arguments, self.context)


def server(name: str, labels: dict[str, ToolEffect], hosts: tuple[str, ...] = ()) -> McpServer:
    command = SERVERS / f"mcp-server-{name}"
    assert command.exists(), (
        f"{command} is missing: `make test` installs the servers, `scripts/setup.sh test` does it alone"
    )
    given = tuple(ToolLabels(tool, effect=effect) for tool, effect in labels.items())
    return McpServer(name, (str(command),), package=f"mcp-server-{name}", hosts=hosts, labels=given)


def text_of(output: ToolOutput) -> str:
    assert output.status == "ok", output
    assert isinstance(output.value, dict)
    return str(output.value["text"])


def test_git_shows_the_log_and_the_diff_of_a_real_repository(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    git = ["git", "-C", str(repository), "-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    (repository / "a.txt").write_text("one\n")
    subprocess.run([*git, "add", "a.txt"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "the first commit"], check=True)
    (repository / "a.txt").write_text("two\n")
    stand = Stand(
        tmp_path,
        server("git", {"git_log": "read", "git_diff_unstaged": "read"}),
        ("-r", str(repository)),
        (repository,),
    )

    async def play() -> None:
        async with stand.box() as box:
            assert {tool.spec.name for tool in box.tools} == {"git.git_log", "git.git_diff_unstaged"}
            assert "git_commit" in {refusal.tool for refusal in box.refusals}
            assert "the first commit" in text_of(await stand.call(box, "git_log", {"repo_path": str(repository)}))
            assert "+two" in text_of(await stand.call(box, "git_diff_unstaged", {"repo_path": str(repository)}))

    asyncio.run(play())


def test_time_is_told(tmp_path: Path) -> None:
    stand = Stand(tmp_path, server("time", {"convert_time": "read"}), ("--local-timezone", "UTC"))

    async def play() -> None:
        async with stand.box() as box:
            arguments: dict[str, Json] = {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}
            told = json.loads(text_of(await stand.call(box, "convert_time", arguments)))
            assert "T21:00:00" in told["target"]["datetime"]
            refused = await stand.call(box, "convert_time", {**arguments, "time": "noon"})
            assert refused.status == "error" and "HH:MM" in json.dumps(refused.value)

    asyncio.run(play())


def test_sqlite_answers_queries_and_writes(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    database = shop / "shop.db"
    with sqlite3.connect(database) as made:
        made.execute("create table orders (item text, price integer)")
        made.execute("insert into orders values ('lamp', 40)")
    made.close()
    stand = Stand(
        tmp_path,
        server("sqlite", {"read_query": "read", "write_query": "write_own"}),
        ("--db-path", str(database)),
        (shop,),
    )

    async def play() -> None:
        async with stand.box() as box:
            assert "lamp" in text_of(await stand.call(box, "read_query", {"query": "select * from orders"}))
            await stand.call(box, "write_query", {"query": "insert into orders values ('chair', 70)"})

    asyncio.run(play())
    with sqlite3.connect(database) as seen:
        assert seen.execute("select count(*) from orders").fetchone() == (2,)
    seen.close()


@pytest.fixture
def page() -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<html><body><h1>Hello</h1><p>The lamp is in the cellar.</p></body></html>"
            self.send_response(404 if self.path == "/robots.txt" else 200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever, daemon=True)
    thread.start()
    yield web.server_port
    web.shutdown()
    web.server_close()
    thread.join()


def test_fetch_reaches_the_page_in_its_list_and_no_other(tmp_path: Path, page: int) -> None:
    hosts = (f"127.0.0.1:{page}",)
    stand = Stand(tmp_path, server("fetch", {"fetch": "read"}, hosts), ("--allow-private-ips",))

    async def play() -> None:
        egress = WayOut(hosts, Broker((), {}, Redactor()), stand.sandbox.uid)
        await egress.open()
        async with stand.box(egress) as box:
            # Labelled `read` by the user; a server that can send is never that.
            assert box.tools[0].spec.effect == "net_read"
            # `raw`: to make Markdown of a page the server runs `npm install` on first use, which its list rightly refuses.
            found = await stand.call(box, "fetch", {"url": f"http://127.0.0.1:{page}/", "raw": True})
            assert "lamp is in the cellar" in text_of(found) and found.sent_bytes > 0
            other = await stand.call(box, "fetch", {"url": f"http://localhost:{page}/"})
            assert other.status == "error" and f"add 'localhost:{page}' to the granted hosts" in other.message
        await egress.close()

    asyncio.run(play())


def test_without_a_list_a_server_reaches_nothing_not_even_this_machine(tmp_path: Path, page: int) -> None:
    stand = Stand(tmp_path, server("fetch", {"fetch": "net_read"}), ("--allow-private-ips", "--ignore-robots-txt"))

    async def play() -> None:
        async with stand.box() as box:
            answer = await stand.call(box, "fetch", {"url": f"http://127.0.0.1:{page}/", "raw": True})
            assert answer.status == "error" and "lamp" not in json.dumps(answer.value)

    asyncio.run(play())


def test_another_package_than_the_policy_names_is_not_pinned(tmp_path: Path) -> None:
    real = server("time", {})
    stand = Stand(tmp_path, McpServer("time", real.command, package="mcp-server-tlme"), ())

    async def opened() -> None:
        async with stand.box():
            pass

    with pytest.raises(UsageError, match="mcp-server-time"):
        asyncio.run(opened())


def test_every_file_of_the_environment_is_part_of_the_package_hash(tmp_path: Path) -> None:
    """A planted file, a planted `.pth` and a changed source are each another hash, or refused by name."""
    venv = tmp_path / "venv"
    site = venv / "lib" / "python3.11" / "site-packages"
    (site / "tool").mkdir(parents=True)
    (venv / "pyvenv.cfg").write_text("include-system-site-packages = false\n")
    (venv / "bin").mkdir()
    program = venv / "bin" / "tool"
    program.write_text(f"#!{venv}/bin/python\n")
    program.chmod(0o755)
    (site / "tool" / "__init__.py").write_text("")
    (site / "tool-1.2.dist-info").mkdir()
    empty = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
    record = site / "tool-1.2.dist-info" / "RECORD"
    record.write_text(f"tool/__init__.py,sha256={empty},0\n../../../bin/tool,,\ntool-1.2.dist-info/RECORD,,\n")
    clean = package_of((str(program),))
    assert (clean.name, clean.version) == ("tool", "1.2")
    (site / "tool" / "__pycache__").mkdir()
    (site / "tool" / "__pycache__" / "x.pyc").write_bytes(b"compiled on the way")
    assert package_of((str(program),)) == clean
    planted = site / "sitecustomize.py"
    planted.write_text("import os")
    assert package_of((str(program),)).sha256 != clean.sha256
    planted.unlink()
    linked = site / "elsewhere.pth"
    linked.write_text(f"{tmp_path}\n")
    with pytest.raises(UsageError, match="not pinned with the environment"):
        package_of((str(program),))
    linked.unlink()
    (site / "tool" / "__init__.py").write_text("import os")
    with pytest.raises(UsageError, match="not the file that was installed"):
        package_of((str(program),))


@pytest.mark.parametrize(
    "command", [("npx", "-y", "server"), ("uvx", "mcp-server-git"), ("no-such-program",), ("./relative",)]
)
def test_a_program_that_is_fetched_anew_or_not_there_is_refused(command: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="expected an"):
        resolved(command, PATH)
