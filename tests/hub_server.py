"""`HubServer`: a small Hugging Face Hub on this machine, for the real client over real HTTP.

    with HubServer() as hub:
        api = hub.api("write")                     # HfApi of alice; also "read" (alice, may not write), "other" (bob), "wrong", None (nobody)
        hub.add("alice/digits", folder)            # a repository from a folder or {path: bytes}; kind="dataset" | "space", private, gated
        api.upload_folder(...)                     # push, pull, branches, pull requests, Spaces and their variables, data sets
        hub.repository("alice/digits").files()     # {path: bytes} on main; .commits, .refs, .private, .variables, ...
        hub.requests                               # what was asked: method, path, query, headers, user; hub.asked() gives "METHOD path"
        hub.fault(path="/commit/", status=503)     # the next request that matches fails; see `fault`
        subprocess.run(..., env=hub.environment(home))        # for a process of its own
        hub.become_default(monkeypatch)            # for code of this process that takes no HfApi (diffusers, datasets)
        hub.speak_xet(folder)                      # large files go through hf_xet, for clients that have it switched on
    ...                                            # from here on nobody answers: the Hub is down

LFS objects lie on another origin (`localhost`, not 127.0.0.1), which refuses requests with a token, as the Hub's storage does. Errors are those of
the Hub: status, X-Error-Code, X-Error-Message. It does not check quotas, fine-grained tokens, rates, .gitignore, nor build Spaces. Cards are held
to the rules in `hub_cards`.
"""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import hub_routes
import hub_xet
from hub_store import Entry, Refusal, Repository, Store, User, is_lfs
from huggingface_hub import HfApi

TOKENS = {"write": "hf_alice_may_write", "read": "hf_alice_may_read", "other": "hf_bob_may_write", "wrong": "hf_nobody_has_this"}
USERS = {TOKENS["write"]: User("alice", "write"), TOKENS["read"]: User("alice", "read"), TOKENS["other"]: User("bob", "write")}


@dataclass(frozen=True)
class Request:
    """One request; path without the query, percent-encoding kept."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes = field(repr=False)

    @property
    def user(self) -> User | None:
        return USERS.get(self.headers.get("authorization", "").removeprefix("Bearer "))


class Reply(NamedTuple):
    """An answer; the handler adds Content-Length."""

    status: int
    body: bytes
    headers: dict[str, str]


@dataclass
class Fault:
    """What goes wrong with the next `times` requests whose method and path match; see `HubServer.fault`."""

    method: re.Pattern[str]
    path: re.Pattern[str]
    times: float
    skip: int
    status: int | None
    headers: Mapping[str, str]
    drop: bool
    after: bool
    cut: int | None
    corrupt: bool
    silent: bool
    trickle: float | None


class HubServer:
    """A Hub on a free port of 127.0.0.1; see the module."""

    def __init__(self) -> None:
        self.store = Store()
        self.requests: list[Request] = []
        self.lists_hashes = True
        """False: as a mirror that gives no sizes and hashes with its listing."""
        self._faults: list[Fault] = []
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._connections: set[socket.socket] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.storage_url = f"http://localhost:{self._server.server_port}"

    def __enter__(self) -> HubServer:
        # Looked at every few milliseconds for the order to stop; half a second, the default, is paid by every test.
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        with self._lock:
            # The client keeps connections open, and their threads would go on answering.
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def api(self, token: str | None = "write") -> HfApi:
        """A client of this Hub: "write", "read", "other" or "wrong" of TOKENS, or None for nobody."""
        return HfApi(endpoint=self.url, token=TOKENS[token] if token else False)

    def environment(self, home: Path, token: str | None = "write") -> dict[str, str]:
        """Environment of a subprocess whose Hub this is, with its own token and cache under `home`."""
        own = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        own |= {"HF_UPDATE_DOWNLOAD_COUNTS": "0", "NO_PROXY": "127.0.0.1,localhost"}  # else datasets looks for a host of its own
        rest = {name: value for name, value in os.environ.items() if name not in ("HF_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_DATASETS_CACHE")}
        return {**rest, **own, **({"HF_TOKEN": TOKENS[token]} if token else {})}

    def become_default(self, monkeypatch: Any, token: str | None = None) -> None:
        """Make this the Hub of code in this process that asks the default one."""
        import huggingface_hub
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "ENDPOINT", self.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", self.url + "/{repo_id}/resolve/{revision}/{filename}")
        monkeypatch.setattr(huggingface_hub.hf_api.api, "endpoint", self.url)
        if token:
            monkeypatch.setenv("HF_TOKEN", TOKENS[token])

    def speak_xet(self, folder: Path) -> None:
        """Keep large files by Xet in a folder from now on, for clients without HF_HUB_DISABLE_XET."""
        self.store.objects = hub_xet.XetStorage(folder, self.store.objects)

    def xet_hash(self, sha256: str) -> str | None:
        """The Xet hash of a large file that came through Xet."""
        objects = self.store.objects
        return objects.hashes().get(sha256, (None, 0))[0] if isinstance(objects, hub_xet.XetStorage) else None

    def add(
        self,
        name: str,
        source: Path | Mapping[str, bytes],
        *,
        kind: str = "model",
        private: bool = False,
        gated: bool = False,
        title: str = "Add files",
    ) -> str:
        """Put files on main of a repository, which is made if need be; all other files there go. Returns the commit."""
        files = source
        if isinstance(source, Path):
            files = {path.relative_to(source).as_posix(): path.read_bytes() for path in sorted(source.rglob("*")) if path.is_file()}
        with self._lock:
            if (kind, name) not in self.store.repositories:
                self.store.create(kind, name, User(name.split("/")[0], "write"), private=private, sdk="gradio" if kind == "space" else None)
            repository = self.repository(name, kind)
            repository.private, repository.gated = private, gated
            entries = {path: Entry(data, is_lfs(path, len(data), data[:512])) for path, data in dict(files).items()}
            self.store.objects.update({entry.sha256: entry.data for entry in entries.values() if entry.lfs})
            return repository.write("main", entries, title, repository.owner).sha

    def repository(self, name: str, kind: str = "model") -> Repository:
        """A repository as it is now; KeyError if there is none."""
        return self.store.repositories[kind, name]

    def asked(self, pattern: str = "") -> list[str]:
        """The requests so far, as "METHOD path", that match a regular expression."""
        return [line for line in (f"{request.method} {request.path}" for request in list(self.requests)) if re.search(pattern, line)]

    def fault(
        self,
        *,
        path: str = "",
        method: str = "",
        times: float = 1,
        skip: int = 0,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        drop: bool = False,
        after: bool = False,
        cut: int | None = None,
        corrupt: bool = False,
        silent: bool = False,
        trickle: float | None = None,
    ) -> None:
        """Let requests fail, once each by default.

        Args:
            path, method: regular expressions searched in them; files are fetched from /lfs/SHA256 (LFS) or .../resolve/REV/PATH;
            times: how often, math.inf for always; skip: how many of them go well before;
            status, headers: answer this instead of doing it; drop: close the connection instead; after: do it first, and lose the answer;
            cut: send so many bytes of the content, then close; corrupt: flip bits, keep the size; silent: never answer; trickle: bytes a second.
        """
        what = (status, headers or {}, drop, after, cut, corrupt, silent, trickle)
        with self._lock:
            self._faults.append(Fault(re.compile(method), re.compile(path), times, skip, *what))

    def heal(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults.clear()

    def _take_fault(self, method: str, path: str) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.times > 0 and fault.method.search(method) and fault.path.search(path):
                    if fault.skip > 0:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    return fault
        return None

    def _answer(self, request: Request) -> Reply:
        try:
            authorization = request.headers.get("authorization")
            if authorization and request.path.startswith("/lfs/"):
                raise Refusal(400, "", "Only one auth mechanism allowed: a token was sent to the storage")
            if authorization and request.user is None:
                raise Refusal(401, "", "Invalid credentials in Authorization header")
            with self._lock:
                status, content, headers = hub_routes.answer(self, request)
        except Refusal as refused:
            status, content = refused.status, {"error": refused.message, **refused.extra}
            headers = {name: text for name, text in {"X-Error-Code": refused.code, "X-Error-Message": refused.message}.items() if text}
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return Reply(status, body, {"Content-Type": "application/octet-stream" if body is content else "application/json", **headers})

    def _handler(hub) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Without it every reply waits 40 ms for the client's acknowledgement.
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                with hub._lock:
                    hub._connections.add(self.connection)

            def finish(self) -> None:
                with hub._lock:
                    hub._connections.discard(self.connection)
                super().finish()

            def log_message(self, *args: object) -> None:
                pass

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except (ConnectionError, TimeoutError, ValueError):
                    self.close_connection = True

            def serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                url = urlsplit(self.path)
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, url.path, parse_qs(url.query, keep_blank_values=True), headers, body)
                hub.requests.append(request)
                fault = hub._take_fault(request.method, request.path)
                if fault is None:
                    return self.send(hub._answer(request))
                if fault.silent:
                    hub._closing.wait()
                elif fault.status is not None:
                    error = json.dumps({"error": "a fault of the server"}).encode()
                    return self.send(Reply(fault.status, error, {"Content-Type": "application/json", **fault.headers}))
                elif not fault.drop or fault.after:
                    reply = hub._answer(request)
                    if not fault.drop:
                        return self.send(reply, fault)
                self.close_connection = True

            def send(self, reply: Reply, fault: Fault | None = None) -> None:
                self.send_response(reply.status)
                for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                body = b"" if self.command == "HEAD" else reply.body
                if fault and fault.corrupt:
                    body = body[:-1] + bytes([body[-1] ^ 0xFF])
                if fault and fault.cut is not None:
                    body, self.close_connection = body[: fault.cut], True
                if fault and fault.trickle:
                    for byte in body:
                        self.wfile.write(bytes([byte]))
                        time.sleep(1 / fault.trickle)
                else:
                    self.wfile.write(body)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = serve

        return Handler
