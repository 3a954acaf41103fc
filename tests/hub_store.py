"""Repositories as the Hub keeps them, in memory: users, commits, branches, pull requests and LFS objects. `hub_server` puts them on HTTP."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

LFS_SUFFIXES = (".safetensors", ".bin", ".parquet", ".pt", ".ckpt", ".npy", ".zip", ".arrow")
GITATTRIBUTES = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES).encode()


class User(NamedTuple):
    """Whose token it is, and its role: "write" or "read"."""

    name: str
    role: str


class Refusal(Exception):
    """What the Hub answers instead of doing it.

    Args:
        status: of HTTP; code: X-Error-Code, or ""; message: X-Error-Message; extra: more of the JSON body.
    """

    def __init__(self, status: int, code: str = "", message: str = "", **extra: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.extra = status, code, message, extra


@dataclass(frozen=True)
class Entry:
    """A file of a commit, and whether git holds only a pointer to it."""

    data: bytes
    lfs: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def blob(self) -> str:
        """Git's name of the file, or of its pointer."""
        content = self.data
        if self.lfs:
            content = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(self.data)}\n".encode()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    def describe(self) -> dict[str, Any]:
        """Its entry in a listing, without the path."""
        lfs = {"lfs": {"oid": self.sha256, "sha256": self.sha256, "size": len(self.data), "pointerSize": 130}} if self.lfs else {}
        return {"size": len(self.data), "oid": self.blob, **lfs}


class Commit(NamedTuple):
    """One commit: its whole tree, not a difference."""

    sha: str
    title: str
    author: str
    parent: str | None
    files: Mapping[str, Entry]


@dataclass
class Repository:
    """One repository. `refs` maps branches, tags and refs/pr/N to commits; `allowed` are the users whom a gated one lets in."""

    kind: str
    name: str
    private: bool = False
    gated: bool = False
    sdk: str | None = None
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    allowed: set[str] = field(default_factory=set)
    variables: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        return self.name.split("/")[0]

    def commit(self, revision: str = "main") -> Commit:
        """The commit of a branch, tag, refs/pr/N or hash."""
        sha = self.refs.get(revision) or self.tags.get(revision) or revision
        if sha not in self.commits:
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return self.commits[sha]

    def files(self, revision: str = "main") -> dict[str, bytes]:
        """Path to content at a revision."""
        return {path: entry.data for path, entry in self.commit(revision).files.items()}

    def write(self, ref: str, files: Mapping[str, Entry], title: str, author: str) -> Commit:
        """Put a new commit on a branch."""
        parent = self.refs.get(ref)
        described = repr((self.kind, self.name, len(self.commits), parent, title, sorted((path, entry.blob) for path, entry in files.items())))
        made = Commit(hashlib.sha1(described.encode()).hexdigest(), title, author, parent, dict(files))
        self.commits[made.sha] = made
        self.refs[ref] = made.sha
        return made


def is_lfs(path: str, size: int, sample: bytes) -> bool:
    """Whether the Hub wants a file as an LFS object: by its name, because it is large, or because it is not text."""
    return path.endswith(LFS_SUFFIXES) or size > 10_000_000 or b"\0" in sample


class Store:
    """All repositories and LFS objects of one Hub."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.objects: dict[str, bytes] = {}

    def create(self, kind: str, name: str, user: User | None, *, private: bool = False, sdk: str | None = None) -> Repository:
        """Make a repository with a first commit, as the Hub does."""
        allow_write(user, name.split("/")[0])
        if (kind, name) in self.repositories:
            raise Refusal(409, "", "You already created this model repo")
        made = self.repositories[kind, name] = Repository(kind, name, private=private, sdk=sdk)
        made.write("main", {".gitattributes": Entry(GITATTRIBUTES, False)}, "initial commit", made.owner)
        return made

    def visible(self, kind: str, name: str, user: User | None) -> Repository:
        """A repository, if this user may know of it."""
        found = self.repositories.get((kind, name))
        if found is None or (found.private and (user is None or user.name != found.owner)):
            raise Refusal(404 if user else 401, "RepoNotFound", "Repository not found" if user else "Invalid username or password.")
        return found

    def readable(self, kind: str, name: str, user: User | None) -> Repository:
        """A repository whose files this user may fetch."""
        found = self.visible(kind, name, user)
        if found.gated and (user is None or user.name not in {found.owner, *found.allowed}):
            message = f"Access to {kind} {name} is restricted." + (" Visit its page to ask for access." if user else " Please log in.")
            raise Refusal(403 if user else 401, "GatedRepo", message)
        return found

    def apply(self, repository: Repository, revision: str, lines: Iterable[Mapping[str, Any]], user: User, *, as_pull_request: bool) -> Commit:
        """Make the commit that the lines of a commit request describe; returns it, on its branch or on a new refs/pr/N."""
        if not as_pull_request and revision not in repository.refs:
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        base = repository.commit(revision)
        files, title = dict(base.files), ""
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                title = value["summary"]
                if value.get("parentCommit") not in (None, base.sha):
                    raise Refusal(412, "", "A commit has happened since. Please refresh and try again.")
            elif line["key"] == "file":
                files[value["path"]] = Entry(base64.b64decode(value["content"]), False)
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.objects:
                    raise Refusal(400, "", f"LFS pointer of {value['path']} points to an object that was never uploaded")
                files[value["path"]] = Entry(self.objects[value["oid"]], True)
            elif line["key"] in ("deletedFile", "deletedFolder"):
                gone = [path for path in files if path == value["path"] or path.startswith(value["path"].rstrip("/") + "/")]
                if not gone:
                    raise Refusal(404, "EntryNotFound", f"{value['path']} does not exist")
                for path in gone:
                    del files[path]
        if not as_pull_request:
            return repository.write(revision, files, title, user.name)
        ref = f"refs/pr/{1 + sum(name.startswith('refs/pr/') for name in repository.refs)}"
        repository.refs[ref] = base.sha
        return repository.write(ref, files, title, user.name)


def allow_write(user: User | None, owner: str) -> User:
    """Refuse everybody but the owner with a write token."""
    if user is None:
        raise Refusal(401, "", "Invalid username or password.")
    if user.role != "write" or user.name != owner:
        raise Refusal(403, "", "You don't have the rights to write to this namespace")
    return user
