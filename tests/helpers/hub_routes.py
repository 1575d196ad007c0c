"""The Hub's interface, as far as huggingface_hub 2.4 uses it for models, datasets and Spaces."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any
from urllib.parse import parse_qs

from .hub_metadata import front_matter, problems
from .hub_repository import Commit, File, Repository
from .hub_server import Answer, HubHandler, Refused, as_json, route


_DATE = "2026-01-01T00:00:00.000Z"
_KINDS = {"": "model", "datasets/": "dataset", "spaces/": "space"}


@route("GET", "/api/whoami-v2")
def whoami(handler: HubHandler) -> Answer:
    user = handler.user()
    if user is None:
        raise Refused(401, "Invalid username or password.")
    name, organisations = user
    orgs = [{"type": "org", "name": organisation, "roleInOrg": "write"} for organisation in organisations]
    return as_json({"type": "user", "name": name, "fullname": name, "orgs": orgs, "auth": {"type": "access_token"}})


@route("POST", "/api/validate-yaml")
def validate_yaml(handler: HubHandler) -> Answer:
    content = json.loads(handler.body)["content"]
    errors = [{"message": problem} for problem in problems(content)]
    empty = [] if errors or front_matter(content) else [{"message": "empty or missing yaml metadata in repo card"}]
    return as_json({"errors": errors, "warnings": empty}, 400 if errors else 200)


@route("POST", "/api/repos/create")
def create_repository(handler: HubHandler) -> Answer:
    asked = json.loads(handler.body)
    kind = asked.get("type") or "model"
    user = handler.user()
    namespace = asked.get("organization") or (user[0] if user else "")
    author = handler.writer(namespace)
    name = f"{namespace}/{asked['name']}"
    url = f"{handler.server.url}/{'' if kind == 'model' else kind + 's/'}{name}"
    if (kind, name) in handler.state.repositories:
        return as_json({"error": "You already created this repo", "url": url}, 409)
    private = asked.get("private") or asked.get("visibility") == "private"
    handler.state.repositories[kind, name] = Repository(kind, name, author, private=bool(private))
    return as_json({"url": url, "name": name})


@route("DELETE", "/api/repos/delete")
def delete_repository(handler: HubHandler) -> Answer:
    asked = json.loads(handler.body)
    kind, name = asked.get("type") or "model", f"{asked['organization']}/{asked['name']}"
    handler.repository(kind, name)
    handler.writer(asked["organization"])
    del handler.state.repositories[kind, name]
    return as_json({})


@route("GET", "<repo>(/revision/(?P<revision>[^/]+))?")
def repository_info(handler: HubHandler, kind: str, name: str, revision: str) -> Answer:
    repository = handler.repository(kind, name)
    commit = handler.commit_at(repository, revision or "main")
    readme = commit.files.get("README.md", File(b"")).content.decode(errors="replace")
    card = {} if problems(readme) else front_matter(readme)
    info = {
        "_id": name,
        "id": name,
        "modelId": name,
        "author": name.split("/")[0],
        "sha": commit.oid,
        "private": repository.private,
        "gated": "manual" if repository.gated else False,
        "disabled": False,
        "createdAt": _DATE,
        "lastModified": _DATE,
        "downloads": 0,
        "likes": 0,
        "tags": card.get("tags", []),
        "cardData": card,
        "siblings": [{"rfilename": path, **_details(file)} for path, file in commit.files.items()],
    }
    return as_json({**info, **{key: card[key] for key in ("library_name", "pipeline_tag") if key in card}})


def _details(file: File) -> dict[str, Any]:
    lfs = {"lfs": {"oid": file.oid, "sha256": file.oid, "size": len(file.content), "pointerSize": 134}}
    return {"size": len(file.content), "blobId": file.oid, "oid": file.oid, **(lfs if file.lfs else {})}


@route("GET", "<repo>/tree/(?P<revision>[^/]+)(/(?P<folder>.+))?")
def list_tree(handler: HubHandler, kind: str, name: str, revision: str, folder: str) -> Answer:
    commit = handler.commit_at(handler.repository(kind, name), revision)
    start = f"{folder}/" if folder else ""
    files = {path: file for path, file in commit.files.items() if path.startswith(start)}
    if folder and not files:
        raise Refused(404, f"{folder} does not exist on {revision}", "EntryNotFound")
    folders = {
        "/".join(parts[:depth]): None
        for parts in (path.split("/") for path in files)
        for depth in range(1, len(parts))
        if len("/".join(parts[:depth])) > len(folder)
    }
    entries = [{"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in folders]
    entries += [{"type": "file", "path": path, **_details(file)} for path, file in files.items()]
    recursive = handler.query.get("recursive", "").lower() == "true"
    return as_json([entry for entry in entries if recursive or "/" not in str(entry["path"])[len(start) :]])


@route("POST", "<repo>/paths-info/(?P<revision>[^/]+)")
def paths_info(handler: HubHandler, kind: str, name: str, revision: str) -> Answer:
    commit = handler.commit_at(handler.repository(kind, name), revision)
    paths = parse_qs(handler.body.decode()).get("paths", [])
    return as_json(
        [{"type": "file", "path": path, **_details(commit.files[path])} for path in paths if path in commit.files]
    )


@route("GET", "<repo>/refs")
def list_refs(handler: HubHandler, kind: str, name: str) -> Answer:
    refs = handler.repository(kind, name).refs

    def under(prefix: str) -> list[dict[str, str]]:
        return [
            {"name": ref.removeprefix(prefix), "ref": ref, "targetCommit": oid}
            for ref, oid in refs.items()
            if ref.startswith(prefix)
        ]

    pull_requests = under("refs/pr/")
    return as_json(
        {
            "branches": under("refs/heads/"),
            "tags": under("refs/tags/"),
            "converts": [],
            **({"pullRequests": pull_requests} if "include_prs" in handler.query else {}),
        }
    )


@route("GET", "<repo>/commits/(?P<revision>[^/]+)")
def list_commits(handler: HubHandler, kind: str, name: str, revision: str) -> Answer:
    repository = handler.repository(kind, name)
    return as_json(
        [
            {
                "id": commit.oid,
                "title": commit.title,
                "message": commit.description,
                "authors": [{"user": commit.author}],
                "date": _DATE,
            }
            for commit in repository.history(handler.commit_at(repository, revision))
        ]
    )


@route("POST DELETE", "<repo>/branch/(?P<branch>[^/]+)")
def change_branch(handler: HubHandler, kind: str, name: str, branch: str) -> Answer:
    repository = handler.repository(kind, name)
    handler.writer(name.split("/")[0])
    ref = f"refs/heads/{branch}"
    if handler.command == "DELETE":
        if repository.refs.pop(ref, None) is None:
            raise Refused(404, f"There is no branch {branch}", "RevisionNotFound")
        return as_json({})
    if ref in repository.refs:
        raise Refused(409, f"Reference already exists: {ref}")
    start = json.loads(handler.body or b"{}").get("startingPoint", "main")
    repository.refs[ref] = handler.commit_at(repository, start).oid
    return as_json({})


@route("POST DELETE", "<repo>/tag/(?P<revision>[^/]+)")
def change_tag(handler: HubHandler, kind: str, name: str, revision: str) -> Answer:
    repository = handler.repository(kind, name)
    handler.writer(name.split("/")[0])
    if handler.command == "DELETE":
        if repository.refs.pop(f"refs/tags/{revision}", None) is None:
            raise Refused(404, f"There is no tag {revision}", "RevisionNotFound")
        return as_json({})
    ref = f"refs/tags/{json.loads(handler.body)['tag']}"
    if ref in repository.refs:
        raise Refused(409, f"Reference already exists: {ref}")
    repository.refs[ref] = handler.commit_at(repository, revision).oid
    return as_json({})


@route("PUT", "<repo>/settings")
def change_settings(handler: HubHandler, kind: str, name: str) -> Answer:
    repository = handler.repository(kind, name)
    handler.writer(name.split("/")[0])
    asked = json.loads(handler.body)
    if "private" in asked or "visibility" in asked:
        repository.private = bool(asked.get("private")) or asked.get("visibility") == "private"
    if "gated" in asked:
        repository.gated = bool(asked["gated"])
    return as_json({"private": repository.private, "gated": repository.gated})


@route("POST", "<repo>/preupload/(?P<revision>[^/]+)")
def preupload(handler: HubHandler, kind: str, name: str, revision: str) -> Answer:
    repository = handler.repository(kind, name)
    if "create_pr" not in handler.query:
        handler.writer(name.split("/")[0])
    commit = handler.commit_at(repository, revision)
    answers = []
    for file in json.loads(handler.body)["files"]:
        lfs = repository.is_lfs(commit, file["path"], file["size"], base64.b64decode(file["sample"]))
        oid = {"oid": commit.files[file["path"]].oid} if file["path"] in commit.files else {}
        mode = "lfs" if lfs else "regular"
        answers.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, **oid})
    return as_json({"files": answers})


@route("POST", r"<page>\.git/info/lfs/objects/batch")
def lfs_batch(handler: HubHandler, prefix: str, name: str) -> Answer:
    repository = handler.repository(_KINDS[prefix], name)
    if handler.user() is None:
        raise Refused(401, "Invalid username or password.")
    objects = []
    for asked in json.loads(handler.body)["objects"]:
        href = f"{handler.server.url}/lfs/{repository.kind}s/{name}/{asked['oid']}"
        actions = {"upload": {"href": href}, "verify": {"href": f"{href}/verify"}}
        objects.append({**asked, **({} if asked["oid"] in repository.large_files else {"actions": actions})})
    return as_json({"transfer": "basic", "objects": objects})


# As on the real Hub, the address that the batch was answered with is the permission to write to it.
@route("PUT POST", "/lfs/(?P<kind>model|dataset|space)s/(?P<name>[^/]+/[^/]+)/(?P<oid>[0-9a-f]{64})(/verify)?")
def lfs_object(handler: HubHandler, kind: str, name: str, oid: str) -> Answer:
    large_files = handler.state.repositories[kind, name].large_files
    if handler.command == "PUT":
        if hashlib.sha256(handler.body).hexdigest() != oid:
            raise Refused(400, "The content does not have the SHA-256 that it was announced with")
        large_files[oid] = handler.body
    elif oid not in large_files:
        raise Refused(404, f"No object {oid} was uploaded")
    return as_json({})


@route("POST", "<repo>/commit/(?P<revision>[^/]+)")
def make_commit(handler: HubHandler, kind: str, name: str, revision: str) -> Answer:
    repository = handler.repository(kind, name)
    as_pull_request = "create_pr" in handler.query
    user = handler.user()
    if as_pull_request and user is not None:
        author = user[0]
    else:
        author = handler.writer(name.split("/")[0])
    base = handler.commit_at(repository, revision)
    header, *operations = [json.loads(line) for line in handler.body.splitlines()]
    parent = header["value"].get("parentCommit", base.oid)
    if not base.oid.startswith(parent):
        raise Refused(412, "A commit has happened since. Please refresh and try again.")
    files = dict(base.files)
    for operation in operations:
        _apply(repository, files, operation["key"], operation["value"])
    title, description = header["value"]["summary"], header["value"].get("description", "")
    if as_pull_request:
        ref = _open_pull_request(repository, title, author, base)
    else:
        ref = repository.ref_to_push(revision) or ""
        if not ref:
            raise Refused(400, f"Commits go to a branch or a pull request, and {revision!r} is neither")
    commit = repository.commit(ref, title, author, files, description=description)
    page = f"{handler.server.url}/{'' if kind == 'model' else kind + 's/'}{name}"
    made = {"success": True, "commitOid": commit.oid, "commitUrl": f"{page}/commit/{commit.oid}"}
    if as_pull_request:
        made["pullRequestUrl"] = f"{page}/discussions/{ref.removeprefix('refs/pr/')}"
    return as_json(made)


def _apply(repository: Repository, files: dict[str, File], key: str, value: dict[str, Any]) -> None:
    path = value["path"]
    if key == "file":
        files[path] = File(base64.b64decode(value["content"]))
    elif key == "lfsFile":
        if value["oid"] not in repository.large_files:
            raise Refused(400, f"{path}: the LFS object {value['oid']} was never uploaded")
        files[path] = File(repository.large_files[value["oid"]], lfs=True)
    else:
        gone = [known for known in files if known == path or known.startswith(path.rstrip("/") + "/")]
        if not gone:
            raise Refused(404, "A file with this name doesn't exist", "EntryNotFound")
        for known in gone:
            del files[known]


def _open_pull_request(repository: Repository, title: str, author: str, base: Commit) -> str:
    repository.pull_requests.append((title, author))
    ref = f"refs/pr/{len(repository.pull_requests)}"
    repository.refs[ref] = base.oid
    return ref


@route("POST", "<repo>/discussions")
def open_discussion(handler: HubHandler, kind: str, name: str) -> Answer:
    repository = handler.repository(kind, name)
    user = handler.user()
    if user is None:
        raise Refused(401, "Invalid username or password.")
    asked = json.loads(handler.body)
    if not asked.get("pullRequest"):
        raise Refused(400, "This Hub knows pull requests only")
    ref = _open_pull_request(repository, asked["title"], user[0], handler.commit_at(repository, "main"))
    return as_json({"num": int(ref.split("/")[-1])})


@route("GET", r"<repo>/discussions/(?P<number>\d+)")
def discussion(handler: HubHandler, kind: str, name: str, number: str) -> Answer:
    repository = handler.repository(kind, name)
    title, author = repository.pull_requests[int(number) - 1]
    return as_json(
        {
            "title": title,
            "num": int(number),
            "author": {"name": author},
            "createdAt": _DATE,
            "status": "draft",
            "repo": {"name": name, "type": kind},
            "isPullRequest": True,
            "events": [],
            "changes": {"base": "refs/heads/main"},
            "filesWithConflicts": [],
        }
    )


@route("GET HEAD", "<page>/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
def resolve(handler: HubHandler, prefix: str, name: str, revision: str, path: str) -> Answer:
    repository = handler.repository(_KINDS[prefix], name)
    commit = handler.commit_at(repository, revision)
    user = handler.user()
    if repository.gated and (user is None or name.split("/")[0] not in (user[0], *user[1])):
        message = f"Access to {repository.kind} {name} is restricted. You must be in the authorized list to access it."
        raise Refused(403 if user else 401, message, "GatedRepo")
    headers = {"X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
    if path not in commit.files:
        raise Refused(404, "Entry not found", "EntryNotFound", **headers)
    file = commit.files[path]
    headers["ETag"] = f'"{file.oid}"'
    if file.lfs:
        headers |= {"X-Linked-Etag": f'"{file.oid}"', "X-Linked-Size": str(len(file.content))}
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range", ""))
    if asked is None:
        return Answer(200, file.content, headers)
    start, stop = int(asked[1]), min(int(asked[2] or len(file.content)) + 1, len(file.content))
    if start >= len(file.content):
        raise Refused(416, "Range not satisfiable", **{"Content-Range": f"bytes */{len(file.content)}"})
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(file.content)}"
    return Answer(206, file.content[start:stop], headers)
