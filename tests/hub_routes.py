"""The addresses of the Hub that the client asks for, and what each answers; `hub_server` calls `answer`."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote

from hub_cards import problems
from hub_store import Entry, Refusal, Repository, User, allow_write, is_lfs

if TYPE_CHECKING:
    from hub_server import HubServer, Request

Answer = tuple[int, Any, dict[str, str]]
"""Status, content (bytes, or what becomes JSON) and more headers."""

ROUTES: list[tuple[str, re.Pattern[str], Callable[..., Answer]]] = []
API = r"/api/(?P<kind>model|dataset|space)s/(?P<name>[^/]+/[^/]+)"
PREFIX = {"model": "", "dataset": "datasets/", "space": "spaces/"}


def route(method: str, path: str) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Register the answer to a method and a path; named groups of the pattern become arguments."""

    def register(function: Callable[..., Answer]) -> Callable[..., Answer]:
        ROUTES.append((method, re.compile(path), function))
        return function

    return register


def answer(hub: HubServer, request: Request) -> Answer:
    """Find the route of a request and follow it."""
    for method, pattern, function in ROUTES:
        match = pattern.fullmatch(request.path)
        if match and request.method in method.split():
            return function(hub, request, **{name: text and unquote(text) for name, text in match.groupdict().items()})
    raise Refusal(404, "", f"this Hub has no {request.method} {request.path}")


def as_json(request: Request) -> dict[str, Any]:
    return json.loads(request.body or b"{}")


def signed_in(request: Request) -> User:
    if request.user is None:
        raise Refusal(401, "", "Invalid username or password.")
    return request.user


def pull_request(request: Request) -> bool:
    return request.query.get("create_pr") == ["1"]


def writable(hub: HubServer, request: Request, kind: str, name: str, revision: str = "main") -> tuple[Repository, User]:
    """A repository that this user may write to, or open a pull request on, or has opened one on."""
    repository, user = hub.store.visible(kind, name, request.user), request.user
    own = revision.startswith("refs/pr/") and user is not None and repository.commit(revision).author == user.name
    if user and user.role == "write" and (own or pull_request(request)):
        return repository, user
    return repository, allow_write(request.user, repository.owner)


@route("GET", "/api/whoami-v2")
def whoami(hub: HubServer, request: Request) -> Answer:
    name, role = signed_in(request)
    return 200, {"type": "user", "name": name, "orgs": [], "auth": {"type": "access_token", "accessToken": {"displayName": "t", "role": role}}}, {}


@route("POST", "/api/repos/create")
def create(hub: HubServer, request: Request) -> Answer:
    asked = as_json(request)
    kind = asked.get("type") or "model"
    name = f"{asked.get('organization') or signed_in(request).name}/{asked['name']}"
    url = {"url": f"{hub.url}/{PREFIX[kind]}{name}", "id": name}
    try:
        private = bool(asked.get("private")) or asked.get("visibility") == "private"
        hub.store.create(kind, name, request.user, private=private, sdk=asked.get("sdk"))
    except Refusal as refused:
        refused.extra.update(url if refused.status == 409 else {})
        raise
    return 200, url, {}


@route("DELETE", "/api/repos/delete")
def delete(hub: HubServer, request: Request) -> Answer:
    asked = as_json(request)
    repository, _ = writable(hub, request, asked.get("type") or "model", f"{asked.get('organization') or signed_in(request).name}/{asked['name']}")
    del hub.store.repositories[repository.kind, repository.name]
    return 200, {}, {}


@route("POST", "/api/validate-yaml")
def validate_card(hub: HubServer, request: Request) -> Answer:
    asked = as_json(request)
    errors, warnings = problems(asked["content"], asked.get("repoType") or "model")
    return 400 if errors else 200, {name: [{"message": text} for text in texts] for name, texts in (("errors", errors), ("warnings", warnings))}, {}


@route("PUT", API + "/settings")
def settings(hub: HubServer, request: Request, kind: str, name: str) -> Answer:
    repository, _ = writable(hub, request, kind, name)
    asked = as_json(request)
    repository.private = asked.get("visibility", "private" if asked.get("private", repository.private) else "public") == "private"
    repository.gated = bool(asked.get("gated", repository.gated))
    return 200, {"private": repository.private}, {}


@route("GET", API + "/auth-check")
def auth_check(hub: HubServer, request: Request, kind: str, name: str) -> Answer:
    hub.store.readable(kind, name, request.user)
    return 200, {}, {}


@route("GET", API + r"(?:/revision/(?P<revision>[^/]+))?")
def info(hub: HubServer, request: Request, kind: str, name: str, revision: str | None) -> Answer:
    repository = hub.store.visible(kind, name, request.user)
    commit = repository.commit(revision or "main")
    siblings: list[dict[str, Any]] = []
    for path, entry in commit.files.items():
        described = entry.describe() if "blobs" in request.query and hub.lists_hashes else {}
        siblings.append({"rfilename": path, **({"blobId": described.pop("oid"), **described} if described else {})})
    state = {"private": repository.private, "gated": "auto" if repository.gated else False, "author": repository.owner, "sdk": repository.sdk}
    return 200, {"id": name, "sha": commit.sha, "siblings": siblings, "tags": [], "downloads": 0, "likes": 0, **state}, {}


def listed(entry_path: str, entry: Entry) -> dict[str, Any]:
    return {"type": "file", "path": entry_path, **entry.describe()}


@route("GET", API + r"/tree/(?P<revision>[^/]+)(?:/(?P<folder>.+))?")
def tree(hub: HubServer, request: Request, kind: str, name: str, revision: str, folder: str | None) -> Answer:
    files = hub.store.visible(kind, name, request.user).commit(revision).files
    inside = f"{folder.rstrip('/')}/" if folder else ""
    below = {path: entry for path, entry in files.items() if path.startswith(inside)}
    if folder and not below:
        raise Refusal(404, "EntryNotFound", f"{folder} does not exist on {revision}")
    folders = {str(parent) for path in below for parent in PurePosixPath(path).parents if str(parent) != "." and f"{parent}/" != inside}
    found = [{"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in sorted(folders) if path.startswith(inside)]
    found += [listed(path, entry) for path, entry in below.items()]
    if request.query.get("recursive", ["false"])[0].lower() != "true":
        found = [item for item in found if "/" not in item["path"].removeprefix(inside)]
    return 200, found, {}


@route("POST", API + r"/paths-info/(?P<revision>[^/]+)")
def paths_info(hub: HubServer, request: Request, kind: str, name: str, revision: str) -> Answer:
    files = hub.store.visible(kind, name, request.user).commit(revision).files
    found: list[dict[str, Any]] = []
    for path in parse_qs(request.body.decode()).get("paths", []):
        if path in files:
            found.append(listed(path, files[path]))
        elif any(other.startswith(path.rstrip("/") + "/") for other in files):
            found.append({"type": "directory", "path": path, "oid": "0" * 40, "size": 0})
    return 200, found, {}


@route("GET", API + "/refs")
def refs(hub: HubServer, request: Request, kind: str, name: str) -> Answer:
    repository = hub.store.visible(kind, name, request.user)

    def described(kept: dict[str, str], prefix: str = "") -> list[dict[str, str]]:
        return [{"name": ref, "ref": prefix + ref, "targetCommit": sha} for ref, sha in kept.items()]

    requests = {ref: sha for ref, sha in repository.refs.items() if ref.startswith("refs/pr/")}
    branches = {ref: sha for ref, sha in repository.refs.items() if ref not in requests}
    kinds = {"branches": described(branches, "refs/heads/"), "tags": described(repository.tags, "refs/tags/"), "converts": []}
    return 200, {**kinds, **({"pullRequests": described(requests)} if "include_prs" in request.query else {})}, {}


@route("GET", API + r"/commits/(?P<revision>[^/]+)")
def commits(hub: HubServer, request: Request, kind: str, name: str, revision: str) -> Answer:
    repository = hub.store.visible(kind, name, request.user)
    found, sha = [], repository.commit(revision).sha
    while sha:
        commit = repository.commits[sha]
        found.append(
            {"id": commit.sha, "title": commit.title, "message": "", "authors": [{"user": commit.author}], "date": "2025-01-01T00:00:00.000Z"}
        )
        sha = commit.parent or ""
    return 200, found, {}


@route("POST DELETE", API + r"/branch/(?P<branch>[^/]+)")
def branch(hub: HubServer, request: Request, kind: str, name: str, branch: str) -> Answer:
    repository, _ = writable(hub, request, kind, name)
    if request.method == "DELETE":
        repository.refs.pop(branch, None)
    elif branch in repository.refs:
        raise Refusal(409, "", f"Reference already exists: refs/heads/{branch}")
    else:
        repository.refs[branch] = repository.commit(as_json(request).get("startingPoint") or "main").sha
    return 200, {}, {}


@route("POST DELETE", API + r"/tag/(?P<tag>[^/]+)")
def tag(hub: HubServer, request: Request, kind: str, name: str, tag: str) -> Answer:
    repository, _ = writable(hub, request, kind, name)
    if request.method == "DELETE":
        repository.tags.pop(tag, None)
    else:
        repository.tags[as_json(request)["tag"]] = repository.commit(tag).sha
    return 200, {}, {}


@route("POST", API + r"/preupload/(?P<revision>[^/]+)")
def preupload(hub: HubServer, request: Request, kind: str, name: str, revision: str) -> Answer:
    repository, _ = writable(hub, request, kind, name, revision)
    there = repository.commit(revision).files
    plans: list[dict[str, Any]] = []
    for file in as_json(request)["files"]:
        path = file["path"]
        lfs = is_lfs(path, file["size"], base64.b64decode(file["sample"]))
        oid = {"oid": there[path].sha256 if there[path].lfs else there[path].blob} if path in there else {}
        plans.append({"path": path, "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False, **oid})
    return 200, {"files": plans}, {}


@route("POST", API + r"/commit/(?P<revision>[^/]+)")
def commit(hub: HubServer, request: Request, kind: str, name: str, revision: str) -> Answer:
    repository, user = writable(hub, request, kind, name, revision)
    lines = [json.loads(line) for line in request.body.splitlines() if line]
    made = hub.store.apply(repository, revision, lines, user, as_pull_request=pull_request(request))
    page = f"{hub.url}/{PREFIX[kind]}{name}"
    number = next((ref.split("/")[-1] for ref, sha in repository.refs.items() if sha == made.sha and ref.startswith("refs/pr/")), None)
    opened = {"pullRequestUrl": f"{page}/discussions/{number}"} if pull_request(request) else {}
    return 200, {"success": True, "commitOid": made.sha, "commitUrl": f"{page}/commit/{made.sha}", **opened}, {}


@route("POST", r"/(?:(?P<prefix>datasets|spaces)/)?(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/batch")
def lfs_batch(hub: HubServer, request: Request, name: str, prefix: str | None) -> Answer:
    hub.store.visible((prefix or "models")[:-1], name, signed_in(request))
    if signed_in(request).role != "write":
        raise Refusal(403, "", "You don't have the rights to upload")
    objects: list[dict[str, Any]] = []
    for wanted in as_json(request)["objects"]:
        missing = {"actions": {"upload": {"href": f"{hub.storage_url}/lfs/{wanted['oid']}"}}} if wanted["oid"] not in hub.store.objects else {}
        objects.append({"oid": wanted["oid"], "size": wanted["size"], **missing})
    return 200, {"transfer": "basic", "objects": objects}, {"Content-Type": "application/vnd.git-lfs+json"}


@route("PUT", "/lfs/(?P<oid>[0-9a-f]{64})")
def lfs_put(hub: HubServer, request: Request, oid: str) -> Answer:
    if hashlib.sha256(request.body).hexdigest() != oid:
        raise Refusal(400, "", "the content is not what was announced")
    hub.store.objects[oid] = request.body
    return 200, b"", {"ETag": f'"{oid}"'}


@route("GET HEAD", "/lfs/(?P<oid>[0-9a-f]{64})")
def lfs_get(hub: HubServer, request: Request, oid: str) -> Answer:
    return content(request, hub.store.objects[oid], {"ETag": f'"{oid}"'})


@route("GET HEAD", r"/(?:(?P<prefix>datasets|spaces)/)?(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
def resolve(hub: HubServer, request: Request, name: str, prefix: str | None, revision: str, path: str) -> Answer:
    commit = hub.store.readable((prefix or "models")[:-1], name, request.user).commit(revision)
    headers = {"X-Repo-Commit": commit.sha}
    if path not in commit.files:
        return 404, {"error": "Entry not found"}, {**headers, "X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"}
    entry = commit.files[path]
    if not entry.lfs:
        return content(request, entry.data, {**headers, "ETag": f'"{entry.blob}"', "Content-Disposition": f"inline; filename={quote(path)}"})
    linked = {"X-Linked-Etag": f'"{entry.sha256}"', "X-Linked-Size": str(len(entry.data))}
    if request.method == "HEAD" and (xet := hub.xet_hash(entry.sha256)):
        token = f'<{hub.url}/api/{prefix or "models"}/{name}/xet-read-token/{commit.sha}>; rel="xet-auth"'
        return 200, b"", {**headers, **linked, "ETag": linked["X-Linked-Etag"], "X-Xet-Hash": xet, "Link": token}
    return 302, b"", {**headers, **linked, "ETag": f'"{entry.sha256}"', "Location": f"{hub.storage_url}/lfs/{entry.sha256}"}


def content(request: Request, data: bytes, headers: dict[str, str]) -> Answer:
    """A file, or the rest of it from a byte on."""
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    if not asked:
        return 200, data, {"Accept-Ranges": "bytes", **headers}
    first, last = int(asked[1]), min(int(asked[2] or len(data) - 1), len(data) - 1)
    return 206, data[first : last + 1], {"Content-Range": f"bytes {first}-{last}/{len(data)}", **headers}


@route("GET POST DELETE", "/api/spaces/(?P<name>[^/]+/[^/]+)/variables")
def variables(hub: HubServer, request: Request, name: str) -> Answer:
    repository, _ = writable(hub, request, "space", name)
    asked = as_json(request)
    if request.method == "POST":
        repository.variables[asked["key"]] = {"value": asked["value"], "updatedAt": "2025-01-01T00:00:00.000Z"}
    elif request.method == "DELETE":
        repository.variables.pop(asked["key"], None)
    return 200, repository.variables, {}


@route("GET", "/api/spaces/(?P<name>[^/]+/[^/]+)/runtime")
def runtime(hub: HubServer, request: Request, name: str) -> Answer:
    hub.store.visible("space", name, request.user)
    return 200, {"stage": "BUILDING", "hardware": {"current": None, "requested": "cpu-basic"}, "storage": None, "gcTimeout": 172800}, {}
