"""Pulls and pushes against Debian's docker-registry, with skopeo as the other client."""
import json
import os
import signal
import subprocess
import unittest

from tools import (INDEX, MANIFEST, DockerRegistry, Host, Image, Script, ScriptedRegistry, describe, digest, layout, run,
                   tar)


def sample(text=b"one"):
    return Image(tar(("a", text)), tar(("b", b"two")))


class Exchange(unittest.TestCase):
    def setUp(self):
        self.host = Host()
        self.addCleanup(self.host.__exit__)
        self.registry = DockerRegistry(self.host)
        self.addCleanup(self.registry.__exit__)

    def name(self, repository, tag="1"):
        return f"{self.registry.address}/{repository}:{tag}"

    def load(self, image, name):
        layout(image, name, self.host / "in.tar")
        self.host.strata("load", "-i", self.host / "in.tar")

    def skopeo_digest(self, name):
        return json.loads(run("skopeo", "inspect", "--tls-verify=false", f"docker://{name}"))["Digest"]

    def test_push_and_pull(self):
        image, name = sample(), self.name("team/app")
        self.load(image, name)
        self.assertIn("Pushed", self.host.strata("push", name))
        self.assertEqual(self.skopeo_digest(name), digest(image.text()))
        with Host() as other:
            text = other.strata("pull", name)
            self.assertIn(f"Digest: {digest(image.text())}", text)
            self.assertIn("Downloaded newer image", text)
            self.assertEqual(other.blobs(), sorted([*image.blobs(), digest(image.text())]))
            self.assertEqual(other.leftovers(), [])
            self.assertIn("Image is up to date", other.strata("pull", name))
            self.assertEqual(other.strata("pull", "-q", name).strip(), name)

    def test_pull_by_digest(self):
        image, name = sample(), self.name("app")
        self.load(image, name)
        self.host.strata("push", name)
        with Host() as other:
            other.strata("pull", f"{self.registry.address}/app@{digest(image.text())}")
            self.assertEqual(len(other.blobs()), 4)
            error = other.refused("pull", f"{self.registry.address}/app@{digest(b'other')}")
            self.assertIn("404", error)

    def test_from_skopeo(self):
        image, name = sample(), self.name("from/skopeo")
        layout(image, "app", self.host / "in.tar")
        run("skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", "--preserve-digests",
            f"oci-archive:{self.host / 'in.tar'}", f"docker://{name}")
        self.assertIn(f"Digest: {digest(image.text())}", self.host.strata("pull", name))

    def test_to_skopeo(self):
        image, name = sample(), self.name("to/skopeo")
        self.load(image, name)
        self.host.strata("push", name)
        run("skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", "--preserve-digests", f"docker://{name}",
            f"oci:{self.host / 'out'}:app")
        index = json.loads((self.host / "out/index.json").read_text())
        self.assertEqual(index["manifests"][0]["digest"], digest(image.text()))
        run("umoci", "unpack", "--rootless", "--image", f"{self.host / 'out'}:app", self.host / "bundle")
        self.assertEqual((self.host / "bundle/rootfs/b").read_text(), "two")

    def test_schema_2_of_docker(self):
        image, name = sample(), self.name("docker")
        layout(image, "app", self.host / "in.tar")
        run("skopeo", "--insecure-policy", "copy", "--format=v2s2", "--dest-tls-verify=false",
            f"oci-archive:{self.host / 'in.tar'}", f"docker://{name}")
        self.host.strata("pull", name)
        self.assertIn(f"{self.registry.address}/docker:1", self.host.images())
        self.host.strata("tag", name, self.name("again"))
        self.host.strata("push", self.name("again"))
        self.assertEqual(self.skopeo_digest(self.name("again")), self.skopeo_digest(name))

    def test_zstd_layers(self):
        image = Image(tar(("a", b"one")))
        run("zstd", "-q", "-o", self.host / "layer.zst", input=tar(("a", b"one")), text=False)
        image.layers = [(self.host / "layer.zst").read_bytes()]
        image.manifest["layers"] = [describe("application/vnd.oci.image.layer.v1.tar+zstd", image.layers[0])]
        name = self.name("zstd")
        self.load(image, name)
        self.host.strata("push", name)
        with Host() as other:
            self.assertIn(digest(image.text()), other.strata("pull", name))

    def test_indexes(self):
        name = self.name("multi")
        images = [Image(tar(("a", arch.encode())), platform={"os": "linux", "architecture": arch}) for arch in
                  ("amd64", "arm64", "riscv64")]
        entries = []
        for image in images:
            layout(image, name, self.host / "in.tar")
            self.host.strata("load", "-i", self.host / "in.tar")
            self.host.strata("push", name)
            entries.append(describe(MANIFEST, image.text(), platform={
                "os": "linux", "architecture": json.loads(image.config)["architecture"]}))
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
        run("curl", "-sf", "-X", "PUT", "-H", f"Content-Type: {INDEX}", "--data-binary", "@-",
            f"http://{self.registry.address}/v2/multi/manifests/all", input=index.decode())
        with Host() as other:
            other.strata("pull", "--platform", "linux/arm64", self.name("multi", "all"))
            shown = json.loads(other.strata("inspect", self.name("multi", "all")))[0]
            self.assertEqual(shown["Architecture"], "arm64")
            error = other.refused("pull", "--platform", "linux/s390x", self.name("multi", "all"))
            self.assertIn("no image for linux/s390x", error)
            self.assertIn("linux/riscv64", error)
        with Host() as other:
            other.strata("pull", "--all-platforms", self.name("multi", "all"))
            self.assertEqual(len(other.blobs()), 10)
            other.strata("tag", self.name("multi", "all"), self.name("copy", "all"))
            other.strata("push", self.name("copy", "all"))
        raw = run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{self.name('copy', 'all')}")
        self.assertEqual(digest(raw.encode()), digest(index))

    def test_layers_are_shared(self):
        self.load(sample(), self.name("one"))
        self.load(sample(b"another"), self.name("two"))
        self.host.strata("push", self.name("one"))
        text = self.host.strata("push", self.name("two"))
        self.assertIn("Mounted from one", text)
        self.assertIn("Layer already exists", self.host.strata("push", self.name("two")))

    def test_concurrent_pulls(self):
        image, name = Image(*(tar((str(i), os.urandom(200_000))) for i in range(6))), self.name("wide")
        self.load(image, name)
        self.host.strata("push", name)
        with Host() as other:
            pulls = [other.start("pull", name) for _ in range(6)]
            for pull in pulls:
                _, errors = pull.communicate(timeout=100)
                self.assertEqual((pull.returncode, errors), (0, ""))
            self.assertEqual(other.images(), [name])
            self.assertEqual(other.blobs(), sorted([*image.blobs(), digest(image.text())]))
            self.assertEqual(other.leftovers(), [])

    def test_absent_images(self):
        error = self.host.refused("pull", self.name("absent"))
        self.assertIn("404", error)
        self.assertEqual(self.host.leftovers(), [])
        self.assertEqual(self.host.blobs(), [])

    def test_all_tags(self):
        image = sample()
        for tag in ("1", "2", "3"):
            self.load(image, self.name("app", tag))
            self.host.strata("push", self.name("app", tag))
        with Host() as other:
            other.strata("pull", "--all-tags", f"{self.registry.address}/app")
            self.assertEqual(sorted(other.images()), [self.name("app", tag) for tag in "123"])

    def test_mirrors_are_asked_first(self):
        self.load(sample(), self.name("team/app"))
        self.host.strata("push", self.name("team/app"))
        with Host() as other:
            other.settings["registries"] = {"registry.invalid": {"mirrors": [self.registry.address]}}
            other.strata("pull", "registry.invalid/team/app:1")
            self.assertEqual(other.images(), ["registry.invalid/team/app:1"])

    def test_search_lists_and_aliases(self):
        self.load(sample(), self.name("team/app"))
        self.host.strata("push", self.name("team/app"))
        with Host() as other:
            other.settings["search"] = [self.registry.address]
            other.settings["aliases"] = {"tool": f"{self.registry.address}/team/app"}
            other.strata("pull", "team/app:1")
            other.strata("pull", "tool:1")
            self.assertEqual(other.images(), [self.name("team/app")])


class Interrupted(unittest.TestCase):
    """Pulls that are killed; the registry holds them where the test wants them."""

    def setUp(self):
        self.host = Host()
        self.addCleanup(self.host.__exit__)
        self.image = Image(tar(("a", os.urandom(300_000))), tar(("b", b"two")))

    class Halves(Script):
        """Sends half of the first layer, then waits for the client to go."""

        def blob(self, name):
            content = self.server.blobs[name]
            if len(content) < 100_000 or self.headers.get("Range") or not self.server.hold:
                super().blob(name)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:len(content) // 2])
            self.wfile.flush()
            self.connection.recv(1)

    def pull_half(self, registry, how):
        pull = self.host.start("pull", f"{registry.address}/app:1")
        part = self.host.store / "ingest" / ("fetch-" + digest(self.image.layers[0]).replace(":", "-"))
        while not part.exists() or part.stat().st_size < len(self.image.layers[0]) // 2:
            self.assertIsNone(pull.poll(), "the pull ended early")
        pull.send_signal(how)
        pull.communicate()
        return part

    def test_killed_pulls_leave_nothing_half(self):
        with ScriptedRegistry(self.Halves, self.image) as registry:
            registry.server.hold = True
            self.pull_half(registry, signal.SIGKILL)
            self.assertEqual(self.host.images(), [])
            for blob in self.host.blobs():
                content = (self.host.store / "blobs/sha256" / blob.split(":")[1]).read_bytes()
                self.assertEqual(digest(content), blob)
            self.host.strata("prune", "-f") # nobody needs any of it
            self.assertEqual((self.host.blobs(), self.host.leftovers()), ([], []))

    def test_killed_pulls_go_on(self):
        with ScriptedRegistry(self.Halves, self.image) as registry:
            registry.server.hold = True
            self.pull_half(registry, signal.SIGKILL)
            registry.server.requests.clear()
            self.host.strata("pull", f"{registry.address}/app:1")
            ranges = [r[3] for r in registry.server.requests if r[3]]
            self.assertEqual(ranges, [f"bytes={len(self.image.layers[0]) // 2}-"])
            self.assertEqual(self.host.leftovers("ingest"), [])

    def test_what_a_liar_left_is_fetched_anew(self):
        with ScriptedRegistry(self.Halves, self.image) as registry:
            registry.server.hold = True
            part = self.pull_half(registry, signal.SIGKILL)
            part.write_bytes(bytes(part.stat().st_size)) # as if another mirror had sent it
            registry.server.hold = False
            self.host.strata("pull", f"{registry.address}/app:1")
            self.assertEqual(self.host.leftovers("ingest"), [])
            self.assertIn(digest(self.image.layers[0]), self.host.blobs())

    def test_random_kills(self):
        with ScriptedRegistry(Script, self.image) as registry:
            name = f"{registry.address}/app:1"
            for delay in range(20):
                pull = self.host.start("pull", name)
                try:
                    pull.wait(delay / 200)
                except subprocess.TimeoutExpired:
                    pull.kill()
                pull.communicate()
                if self.host.images():
                    self.host.strata("rmi", name)
            self.host.strata("pull", name)
            self.host.strata("prune", "-f")
            self.assertEqual(self.host.images(), [name])
            self.assertEqual(self.host.leftovers(), [])
            self.assertEqual(len(self.host.blobs()), 4)

    def test_removal_beside_a_pull(self):
        """What a pull has fetched stays while another process collects garbage."""
        with ScriptedRegistry(self.Halves, self.image) as registry:
            registry.server.hold = True
            pull = self.host.start("pull", f"{registry.address}/app:1")
            small = self.host.store / "blobs/sha256" / digest(self.image.layers[1]).split(":")[1]
            while not small.exists():
                self.assertIsNone(pull.poll())
            self.host.strata("prune", "-a", "-f")
            self.assertTrue(small.exists())
            self.assertIsNone(pull.poll())
            pull.kill()
            pull.communicate()


if __name__ == "__main__":
    unittest.main()
