"""Images in archives: load, save and import, and exchange with umoci and skopeo."""
import gzip
import json
import tarfile
import unittest

from tools import Host, Image, digest, layout, run, tar


class Archives(unittest.TestCase):
    def setUp(self):
        self.host = Host()
        self.addCleanup(self.host.__exit__)

    def test_load_and_save_keep_digests(self):
        image = Image(tar(("a", b"one")), tar(("b", b"two")))
        layout(image, "quay.io/app:1", self.host / "in.tar")
        self.assertIn("quay.io/app:1", self.host.strata("load", "-i", self.host / "in.tar"))
        self.assertEqual(self.host.leftovers(), [])
        self.host.strata("save", "-o", self.host / "out.tar", "quay.io/app:1")
        with tarfile.open(self.host / "out.tar") as archive:
            names = archive.getnames()
            index = json.load(archive.extractfile("index.json"))
            docker = json.load(archive.extractfile("manifest.json"))
        self.assertEqual(index["manifests"][0]["digest"], digest(image.text()))
        self.assertEqual(docker[0]["RepoTags"], ["quay.io/app:1"])
        for key in image.blobs():
            self.assertIn("blobs/sha256/" + key.split(":")[1], names)
        self.host.strata("save", "-o", self.host / "again.tar", "quay.io/app:1")
        self.assertEqual((self.host / "out.tar").read_bytes(), (self.host / "again.tar").read_bytes())

    def test_saved_images_load_elsewhere(self):
        layout(Image(tar(("a", b"one"))), "quay.io/app:1", self.host / "in.tar")
        self.host.strata("load", "-i", self.host / "in.tar")
        self.host.strata("save", "-o", self.host / "out.tar", "quay.io/app:1")
        with Host() as other:
            other.strata("load", "-i", self.host / "out.tar")
            self.assertEqual(other.images(), ["quay.io/app:1"])
            for host in (self.host, other): # but for the archives' own documents
                host.strata("prune", "-f")
            self.assertEqual(other.blobs(), self.host.blobs())

    def test_docker_archives(self):
        layers = [tar(("a", b"one")), tar(("b", b"two"))]
        config = json.dumps({"os": "linux", "architecture": "amd64",
                             "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]}}).encode()
        name = digest(config).split(":")[1] + ".json"
        manifest = [{"Config": name, "RepoTags": ["app:1", "app:2"], "Layers": ["x/layer.tar", "y/layer.tar"]}]
        link = tarfile.TarInfo("y/layer.tar")
        link.type, link.linkname = tarfile.SYMTYPE, "../z/layer.tar" # as docker save writes layers that it has twice
        archive = tar((name, config), ("x/layer.tar", layers[0]), link, ("z/layer.tar", layers[1]),
                      ("manifest.json", json.dumps(manifest).encode()))
        (self.host / "in.tar.gz").write_bytes(gzip.compress(archive))
        self.host.strata("load", "-i", self.host / "in.tar.gz")
        self.assertEqual(sorted(self.host.images()), ["app:1", "app:2"])
        self.assertIn(digest(config), self.host.strata("images", "--no-trunc", "-q"))

    def test_damaged_archives_leave_nothing(self):
        image = Image(tar(("a", b"one")))
        missing = Image(tar(("a", b"one")))
        missing.layers = []
        cases = {"no layer": missing, "no manifest": None}
        for what, broken in cases.items():
            with self.subTest(what):
                if broken:
                    layout(broken, "app:1", self.host / "in.tar")
                else:
                    (self.host / "in.tar").write_bytes(tar(("x", b"y")))
                error = self.host.refused("load", "-i", self.host / "in.tar")
                self.assertIn("in.tar", error)
                self.assertEqual(self.host.images(), [])
                self.assertEqual(self.host.leftovers(), [])
        layout(image, "app:1", self.host / "whole.tar")
        text = (self.host / "whole.tar").read_bytes()
        for size in (0, 100, 700, 2500):
            (self.host / "in.tar").write_bytes(text[:size])
            self.host.refused("load", "-i", self.host / "in.tar")
            self.assertEqual(self.host.images(), [])
            self.assertEqual(self.host.leftovers(), [])
        self.host.strata("prune", "-f")
        self.assertEqual(self.host.blobs(), [])

    def test_imports(self):
        layer = tar(("etc/motd", b"hello"))
        (self.host / "root.tar").write_bytes(layer)
        self.host.strata("import", "-c", 'CMD ["sh"]', "-c", "ENV A=b", self.host / "root.tar", "mine:1")
        shown = json.loads(self.host.strata("inspect", "mine:1"))[0]
        self.assertEqual(shown["Config"]["Cmd"], ["sh"])
        self.assertEqual(shown["Config"]["Env"], ["A=b"])
        self.assertEqual(shown["RootFS"]["Layers"], [digest(layer)])
        (self.host / "no.tar").write_bytes(b"x" * 4096)
        self.assertIn("not a tar archive", self.host.refused("import", self.host / "no.tar", "no:1"))

    def test_tags_and_removal(self):
        layout(Image(tar(("a", b"one"))), "app:1", self.host / "in.tar")
        self.host.strata("load", "-i", self.host / "in.tar")
        self.host.strata("tag", "app:1", "quay.io/other:2")
        self.assertEqual(sorted(self.host.images()), ["app:1", "quay.io/other:2"])
        self.host.strata("rmi", "app:1")
        self.assertEqual(self.host.images(), ["quay.io/other:2"])
        self.assertEqual(len([b for b in self.host.blobs()]), 3)
        self.host.strata("rmi", "quay.io/other:2")
        self.assertEqual(self.host.blobs(), [])
        self.assertIn("no image 'app:1'", self.host.refused("rmi", "app:1"))

    def umoci_image(self):
        """A layout directory made by umoci, with two layers."""
        path = self.host / "umoci"
        run("umoci", "init", "--layout", path)
        run("umoci", "new", "--image", f"{path}:app")
        bundle = self.host / "bundle"
        run("umoci", "unpack", "--rootless", "--image", f"{path}:app", bundle)
        for name in ("one", "two"):
            (bundle / "rootfs" / name).write_text(name)
            run("umoci", "repack", "--refresh-bundle", "--image", f"{path}:app", bundle)
        run("umoci", "config", "--image", f"{path}:app", "--config.cmd", "sh")
        return path

    def test_exchange_with_umoci(self):
        path = self.umoci_image()
        manifest = json.loads((path / "index.json").read_text())["manifests"][0]["digest"]
        run("tar", "-C", path, "-cf", self.host / "in.tar", ".")
        self.host.strata("load", "-i", self.host / "in.tar")
        image = self.host.strata("images", "-q", "--no-trunc").strip()
        self.host.strata("tag", image, "back:1")
        self.host.strata("save", "-o", self.host / "out.tar", "back:1")
        back = self.host / "back"
        back.mkdir()
        run("tar", "-C", back, "-xf", self.host / "out.tar")
        index = json.loads((back / "index.json").read_text())
        self.assertEqual(index["manifests"][0]["digest"], manifest)
        index["manifests"][0]["annotations"] = {"org.opencontainers.image.ref.name": "app"} # umoci knows only tags
        (back / "index.json").write_text(json.dumps(index))
        run("umoci", "unpack", "--rootless", "--image", f"{back}:app", self.host / "unpacked")
        self.assertEqual((self.host / "unpacked/rootfs/two").read_text(), "two")

    def test_exchange_with_skopeo(self):
        layout(Image(tar(("a", b"one"))), "quay.io/app:1", self.host / "in.tar")
        self.host.strata("load", "-i", self.host / "in.tar")
        self.host.strata("save", "-o", self.host / "out.tar", "quay.io/app:1")
        policy = "--insecure-policy"
        run("skopeo", policy, "copy", f"docker-archive:{self.host / 'out.tar'}:quay.io/app:1",
            f"docker-archive:{self.host / 'skopeo.tar'}:quay.io/app:2")
        before = self.host.strata("images", "-q", "--no-trunc").split()
        self.host.strata("load", "-i", self.host / "skopeo.tar")
        self.assertEqual(sorted(self.host.images()), ["quay.io/app:1", "quay.io/app:2"])
        after = self.host.strata("images", "-q", "--no-trunc").split()
        self.assertEqual(set(before), set(after)) # the same configuration, so the same ID


if __name__ == "__main__":
    unittest.main()
