"""Repositories as the Hub keeps them: whole commits in memory, refs that point to them, and large files by hash."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType


# What a new repository on the Hub begins with, cut to the patterns that the tests meet.
GIT_ATTRIBUTES = "".join(
    f"{pattern} filter=lfs diff=lfs merge=lfs -text\n"
    for pattern in ("*.bin", "*.npz", "*.parquet", "*.pickle", "*.pt", "*.pth", "*.safetensors", "*.zip")
).encode()

# Files up to this size are sent with the commit itself, unless they are binary or `.gitattributes` says otherwise.
INLINE_LIMIT = 10 * 1024 * 1024


@dataclass(frozen=True)
class File:
    """A file's bytes, and whether it is stored by LFS."""

    content: bytes
    lfs: bool = False

    @cached_property
    def oid(self) -> str:
        """What the Hub calls the file by, and sends as its ETag: git's SHA-1, or for LFS the SHA-256."""
        if self.lfs:
            return hashlib.sha256(self.content).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content).hexdigest()


@dataclass(frozen=True)
class Commit:
    """All files as of one commit; never changed after it was made."""

    parent: str | None
    title: str
    description: str
    author: str
    files: Mapping[str, File]

    @cached_property
    def oid(self) -> str:
        """A SHA-1 of everything in the commit."""
        tree = {path: file.oid for path, file in sorted(self.files.items())}
        whole = [self.parent, self.title, self.description, self.author, tree]
        return hashlib.sha1(json.dumps(whole).encode()).hexdigest()


@dataclass
class Repository:
    """A repository of a kind ("model", "dataset" or "space"); its refs lead to whole commits."""

    kind: str
    name: str
    owner: str
    private: bool = False
    gated: bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    large_files: dict[str, bytes] = field(default_factory=dict)
    pull_requests: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.commit("refs/heads/main", "initial commit", self.owner, {".gitattributes": File(GIT_ATTRIBUTES)})

    def find(self, revision: str) -> Commit | None:
        """The commit of a branch, tag, ref or (shortened) commit hash."""
        for ref in (revision, f"refs/heads/{revision}", f"refs/tags/{revision}"):
            if ref in self.refs:
                return self.commits[self.refs[ref]]
        if len(revision) >= 7:
            return next((commit for oid, commit in self.commits.items() if oid.startswith(revision)), None)
        return None

    def ref_to_push(self, revision: str) -> str | None:
        """The full name of the branch or pull request that commits to `revision` go to."""
        return next((ref for ref in (revision, f"refs/heads/{revision}") if ref in self.refs), None)

    def commit(self, ref: str, title: str, author: str, files: Mapping[str, File], *, description: str = "") -> Commit:
        """Make a commit of all of `files` and let `ref` point to it, in one step."""
        commit = Commit(self.refs.get(ref), title, description, author, MappingProxyType(dict(files)))
        self.commits[commit.oid] = commit
        self.refs[ref] = commit.oid
        return commit

    def history(self, commit: Commit) -> list[Commit]:
        """The commit and those before it, newest first."""
        commits = [commit]
        while commits[-1].parent is not None:
            commits.append(self.commits[commits[-1].parent])
        return commits

    def is_lfs(self, commit: Commit, path: str, size: int, sample: bytes) -> bool:
        """Whether a file belongs into LFS: by `.gitattributes`, by size, or as it is binary."""
        attributes = commit.files.get(".gitattributes", File(b"")).content.decode()
        patterns = [line.split()[0] for line in attributes.splitlines() if "filter=lfs" in line]
        return size > INLINE_LIMIT or b"\0" in sample or any(fnmatch.fnmatch(path, p) for p in patterns)
