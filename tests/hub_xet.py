"""Xet, the storage behind the Hub's large files, in a folder: `hub.speak_xet(folder)`. The layout of that folder is hf_xet's own and undocumented.

hf_xet takes `local://FOLDER` for the address of its storage and puts chunks and lists ("shards") of what each file is made of there. This reads from
the shards which file (by SHA-256) has which Xet hash, and gets its bytes back through hf_xet.
"""

from __future__ import annotations

import struct
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hub_routes import API, Answer, route, signed_in
from hub_store import Refusal

if TYPE_CHECKING:
    from hub_server import HubServer, Request

RECORD = 48
HAS_CHECKS, HAS_SHA256 = 1 << 31, 1 << 30
END = b"\xff" * 32


class XetStorage(dict[str, bytes]):
    """LFS objects by SHA-256, of which those that came through Xet are brought from its folder when asked for."""

    def __init__(self, folder: Path, known: dict[str, bytes]) -> None:
        super().__init__(known)
        self.address = f"local://{folder}"
        self._folder = folder

    def __contains__(self, oid: object) -> bool:
        return super().__contains__(oid) or oid in self.hashes()

    def __missing__(self, oid: str) -> bytes:
        from hf_xet import XetFileInfo, XetSession

        with tempfile.TemporaryDirectory() as here:
            target = Path(here) / oid
            with XetSession().new_file_download_group(endpoint=self.address) as group:
                group.start_download_file(XetFileInfo(*self.hashes()[oid]), str(target))
            self[oid] = target.read_bytes()
        return self[oid]

    def hashes(self) -> dict[str, tuple[str, int]]:
        """SHA-256 to Xet hash and size of every file that was stored."""
        found: dict[str, tuple[str, int]] = {}
        for shard in self._folder.rglob("shards/*.mdb"):
            found |= _files_of(shard.read_bytes())
        return found


def _files_of(shard: bytes) -> dict[str, tuple[str, int]]:
    """Read a shard: after a header, for each file a record of its hash, flags and n; n pieces; perhaps n checks; perhaps its SHA-256."""
    found: dict[str, tuple[str, int]] = {}
    at = RECORD
    while (name := shard[at : at + 32]) != END and at + RECORD <= len(shard):
        flags, pieces = struct.unpack_from("<II", shard, at + 32)
        size = sum(struct.unpack_from("<I", shard, at + RECORD * (1 + i) + 36)[0] for i in range(pieces))
        at += RECORD * (1 + pieces * (2 if flags & HAS_CHECKS else 1))
        if flags & HAS_SHA256:
            found[_digits(shard[at : at + 32])] = (_digits(name), size)
            at += RECORD
    return found


def _digits(raw: bytes) -> str:
    """Xet writes a hash as four little-endian numbers."""
    return "".join(f"{number:016x}" for number in struct.unpack("<4Q", raw))


@route("GET", API + r"/xet-(?P<right>read|write)-token/(?P<revision>[^/]+)")
def xet_token(hub: HubServer, request: Request, kind: str, name: str, right: str, revision: str) -> Answer:
    if right == "write":
        signed_in(request)
    hub.store.readable(kind, name, request.user)
    if not isinstance(hub.store.objects, XetStorage):
        raise Refusal(404, "", "this Hub does not speak Xet")
    address, until = hub.store.objects.address, int(time.time()) + 3600
    headers = {"X-Xet-Cas-Url": address, "X-Xet-Access-Token": "for-storage-only", "X-Xet-Token-Expiration": str(until)}
    return 200, {"casUrl": address, "accessToken": "for-storage-only", "exp": until}, headers
