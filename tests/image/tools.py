"""What the tests of images share: a user's own directories, registries on loopback, images made by hand."""
import base64
import gzip
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

STRATA = os.environ["STRATA"]
PATIENCE = 120

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def run(*command, status=0, **options):
    """Standard output of a program that must end with `status`."""
    options = {"capture_output": True, "text": True, "timeout": PATIENCE, "stdin": subprocess.DEVNULL, **options}
    if "input" in options:
        del options["stdin"]
    done = subprocess.run([str(word) for word in command], **options)
    if done.returncode != status:
        raise AssertionError(f"{command}: status {done.returncode}, not {status}\n{done.stdout}\n{done.stderr}")
    return done.stdout


class Host:
    """A user's directories of their own, and strata in them."""
    prefix = () # words before each command

    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="strata-image-"))
        self.store = self.directory / "store"
        self.settings = {"stall_seconds": 30}
        self.environment = {**os.environ, "HOME": str(self.directory), "STRATA_STORE": str(self.store), "STRATA_STATE": str(self.directory / "state"),
                            "DOCKER_CONFIG": str(self.directory / "docker"), "SOURCE_DATE_EPOCH": "1700000000",
                            "STRATA_REGISTRIES": str(self.directory / "registries.json")}
        for name in ("XDG_RUNTIME_DIR", "REGISTRY_AUTH_FILE", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            self.environment.pop(name, None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.directory, ignore_errors=True)

    def __truediv__(self, name):
        return self.directory / name

    def write_settings(self):
        new = self / f"registries.json.{os.getpid()}"
        new.write_text(json.dumps(self.settings))
        new.rename(self / "registries.json")  # others may be reading it

    def strata(self, *arguments, status=0, **options):
        self.write_settings()
        return run(*self.prefix, STRATA, *arguments, status=status, env=self.environment, **options)

    def start(self, *arguments):
        self.write_settings()
        return subprocess.Popen([*self.prefix, STRATA, *(str(a) for a in arguments)], env=self.environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def refused(self, *arguments, **options):
        """The one line, and the hint, of a command that must fail."""
        return self.refused_with(1, *arguments, **options)

    def refused_with(self, status, *arguments, **options):
        self.write_settings()
        done = subprocess.run([*self.prefix, STRATA, *(str(a) for a in arguments)], env=self.environment, capture_output=True,
                              text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL, **options)
        if done.returncode != status:
            raise AssertionError(f"{arguments}: status {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stderr

    def images(self):
        return self.strata("images", "--format", "{{.Repository}}:{{.Tag}}").split()

    def blobs(self):
        return sorted("sha256:" + path.name for path in (self.store / "blobs/sha256").iterdir())

    def leftovers(self, *parts):
        """What a finished command must not leave; a killed one leaves its lease, which the next collection removes."""
        return [str(path) for part in parts or ("ingest", "leases", "trash") for path in (self.store / part).iterdir()]


def tar(*entries):
    """An archive of TarInfo objects, (TarInfo, content) pairs, or (name, content) pairs."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            info, content = entry if isinstance(entry, tuple) else (entry, b"")
            if isinstance(info, str):
                info = tarfile.TarInfo(info)
            info.size = len(content) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


class Image:
    """An image as its documents and blobs."""

    def __init__(self, *layers, compress=True, config=None, platform=None):
        self.layers = [gzip.compress(layer, mtime=0) if compress else layer for layer in layers]
        self.config = json.dumps({**(platform or {"os": "linux", "architecture": "amd64"}), "config": config or {},
                                  "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]}}).encode()
        kind = LAYER + ("+gzip" if compress else "")
        self.manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": describe(CONFIG, self.config),
                         "layers": [describe(kind, layer) for layer in self.layers]}

    def text(self):
        return json.dumps(self.manifest).encode()

    def blobs(self):
        return {digest(blob): blob for blob in (self.config, *self.layers)}


def describe(media_type, content, **more):
    return {"mediaType": media_type, "digest": digest(content), "size": len(content), **more}


def layout(image, name, path):
    """Writes the image as an OCI layout in a tar file."""
    text = image.text()
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        describe(MANIFEST, text, annotations={"org.opencontainers.image.ref.name": name} if name else {})]}
    entries = [("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), ("index.json", json.dumps(index).encode())]
    for key, blob in {**image.blobs(), digest(text): text}.items():
        entries.append(("blobs/sha256/" + key.split(":")[1], blob))
    path.write_bytes(tar(*entries))


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class DockerRegistry:
    """Debian's docker-registry on loopback."""

    def __init__(self, host, users=None, tls=None):
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        root = host / f"registry-{self.port}"
        root.mkdir()
        http = {"addr": self.address}
        if tls:
            http["tls"] = {"certificate": str(tls[0]), "key": str(tls[1])}
        config = {"version": 0.1, "log": {"level": "error"}, "http": http,
                  "storage": {"filesystem": {"rootdirectory": str(root / "data")}, "delete": {"enabled": True}}}
        if users:
            passwords = "".join(run("htpasswd", "-Bbn", *user) for user in users.items())
            (root / "htpasswd").write_text(passwords)
            config["auth"] = {"htpasswd": {"realm": "test", "path": str(root / "htpasswd")}}
        (root / "config.yml").write_text(json.dumps(config)) # JSON is YAML
        self.log = open(root / "log", "wb")
        self.process = subprocess.Popen(["docker-registry", "serve", root / "config.yml"], stdout=self.log,
                                        stderr=self.log, stdin=subprocess.DEVNULL)
        while self.process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
        raise AssertionError("docker-registry does not start: " + (root / "log").read_text())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()


class Script(BaseHTTPRequestHandler):
    """A registry of one's own making: honest as it stands; a test overrides what is to be wrong."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self.server.requests.append((self.command, self.path, self.headers.get("Authorization"), self.headers.get("Range")))
        parts = self.path.split("/")
        if self.path == "/v2/":
            self.base()
        elif "manifests" in parts:
            self.document(parts[-1])
        elif "blobs" in parts:
            self.blob(parts[-1])
        else:
            self.other()

    def base(self):
        self.answer(200)

    def document(self, reference):
        documents = self.server.documents
        if reference not in documents:
            self.answer(404)
            return
        text = documents[reference]
        kind = json.loads(text).get("mediaType", MANIFEST)
        self.answer(200, text, Content_Type=kind, Docker_Content_Digest=digest(text))

    def blob(self, name):
        if name not in self.server.blobs:
            self.answer(404)
            return
        content = self.server.blobs[name]
        wanted = self.headers.get("Range")
        if wanted:
            begin = int(wanted.removeprefix("bytes=").rstrip("-"))
            if begin >= len(content):
                self.answer(416)
                return
            self.answer(206, content[begin:], Content_Range=f"bytes {begin}-{len(content) - 1}/{len(content)}")
            return
        self.answer(200, content)

    def other(self):
        self.answer(404)


class ScriptedRegistry:
    def __init__(self, script=Script, image=None, tag="1"):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), script)
        self.server.daemon_threads = True
        self.server.requests, self.server.blobs, self.server.documents = [], {}, {}
        self.server.handle_error = lambda *_: None # clients that leave are no news
        self.address = f"127.0.0.1:{self.server.server_port}"
        self.server.address = self.address
        if image:
            self.add(image, tag)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def add(self, image, tag):
        text = image.text()
        self.server.blobs.update(image.blobs())
        self.server.documents[tag] = self.server.documents[digest(text)] = text

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
