"""A hub of models on this machine: the few endpoints that huggingface_hub asks for a push and a
fetch.
"""

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


@dataclass
class Hub:
    """What the server has, and what it was asked.

    Attributes:
        url: of the server.
        commits: by repository, the files of each commit by its name, the newest last.
        private: by repository.
        large: the contents that came by themselves, by their sha256.
        asked: method and path of each request.
        status: what every request is answered with instead, or None.
    """

    url: str = ""
    commits: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    private: dict[str, bool] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    status: int | None = None

    def add(self, repository, files, private=True):
        """Adds a commit to a repository, and returns its name."""
        commits = self.commits.setdefault(repository, {})
        self.private.setdefault(repository, private)
        name = hashlib.sha1(f"{repository}{len(commits)}".encode()).hexdigest()
        commits[name] = dict(files)
        return name

    def files(self, repository):
        """Returns the files of the newest commit."""
        return list(self.commits[repository].values())[-1]

    def find(self, repository, revision):
        """Returns the name of a commit; None where there is none."""
        commits = self.commits.get(repository, {})
        if revision in commits:
            return revision
        if revision == "main" and commits:
            return list(commits)[-1]
        return None


def handler(hub):
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            """Says nothing."""

        def answer(self, value=None, status=200, body=None, **headers):
            if body is None:
                body = json.dumps(value if value is not None else {}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            for name, header in headers.items():
                self.send_header(name.replace("_", "-"), header)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def body(self):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def begins(self):
            path = unquote(urlsplit(self.path).path)
            hub.asked.append(f"{self.command} {path}")
            if hub.status is not None:
                self.body()
                self.answer({"error": "no"}, status=hub.status)
                return None
            return path.strip("/").split("/")

        def refuse(self, code):
            self.answer({"error": code}, status=404, X_Error_Code=code)

        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            parts = self.begins()
            if parts is None:
                return
            if parts[:2] == ["api", "models"]:
                self.describe("/".join(parts[2:4]), parts[4:])
                return
            self.give("/".join(parts[:2]), parts[3], "/".join(parts[4:]))

        def describe(self, repository, rest):
            if repository not in hub.commits:
                self.refuse("RepoNotFound")
                return
            name = hub.find(repository, rest[1] if rest else "main")
            if name is None:
                self.refuse("RevisionNotFound")
                return
            files = hub.commits[repository][name]
            if rest[:1] == ["tree"]:
                entries = []
                for path, content in files.items():
                    oid = hashlib.sha1(content).hexdigest()
                    entries.append({"type": "file", "path": path, "size": len(content), "oid": oid})
                self.answer(entries)
                return
            siblings = [{"rfilename": path} for path in files]
            self.answer(
                {
                    "id": repository,
                    "modelId": repository,
                    "sha": name,
                    "private": hub.private[repository],
                    "siblings": siblings,
                    "tags": [],
                    "downloads": 0,
                }
            )

        def give(self, repository, revision, path):
            name = hub.find(repository, revision)
            content = hub.commits.get(repository, {}).get(name, {}).get(path)
            if content is None:
                self.refuse("EntryNotFound")
                return
            etag = f'"{hashlib.sha1(content).hexdigest()}"'
            self.answer(body=content, ETag=etag, X_Repo_Commit=name)

        def do_POST(self):
            parts = self.begins()
            if parts is None:
                return
            content = self.body()
            if parts == ["api", "validate-yaml"]:
                self.answer({"warnings": [], "errors": []})
            elif parts == ["api", "repos", "create"]:
                self.create(json.loads(content))
            elif "preupload" in parts:
                self.preupload(json.loads(content))
            elif parts[-2:] == ["objects", "batch"]:
                self.batch(json.loads(content))
            elif "commit" in parts:
                self.commit("/".join(parts[2:4]), content)
            else:
                self.answer(status=404)

        def create(self, wanted):
            repository = f"{wanted['organization']}/{wanted['name']}"
            if repository in hub.commits:
                url = f"{hub.url}/{repository}"
                self.answer({"error": "exists", "url": url}, status=409)
                return
            hub.add(repository, {".gitattributes": b""}, wanted.get("visibility") == "private")
            self.answer({"url": f"{hub.url}/{repository}", "name": repository})

        def preupload(self, wanted):
            files = []
            for each in wanted["files"]:
                mode = "regular"
                if each["path"].endswith(".safetensors"):
                    mode = "lfs"
                files.append({"path": each["path"], "uploadMode": mode, "shouldIgnore": False})
            self.answer({"files": files})

        def batch(self, wanted):
            objects = []
            for each in wanted["objects"]:
                upload = {"href": f"{hub.url}/large/{each['oid']}", "header": {}}
                objects.append({**each, "actions": {"upload": upload}})
            self.answer({"transfer": "basic", "objects": objects})

        def do_PUT(self):
            parts = self.begins()
            content = self.body()
            assert hashlib.sha256(content).hexdigest() == parts[1]
            hub.large[parts[1]] = content
            self.answer()

        def commit(self, repository, content):
            files = dict(hub.files(repository))
            for line in content.splitlines():
                entry = json.loads(line)
                value = entry["value"]
                if entry["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif entry["key"] == "lfsFile":
                    files[value["path"]] = hub.large[value["oid"]]
                elif entry["key"] == "deletedFile":
                    del files[value["path"]]
            name = hub.add(repository, files)
            self.answer({"commitUrl": f"{hub.url}/{repository}/commit/{name}", "commitOid": name})

    return Handler


@contextmanager
def running():
    """Runs a hub on a free port of the loopback interface for a block."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(hub))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
