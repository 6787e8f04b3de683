"""Registries that lie: each pull ends with one clear line, and leaves nothing."""
import json
import os
import unittest

from tools import (INDEX, MANIFEST, Host, Image, Script, ScriptedRegistry, describe, digest, layout, tar)


class Hostile(unittest.TestCase):
    def setUp(self):
        self.host = Host()
        self.addCleanup(self.host.__exit__)
        self.image = Image(tar(("a", os.urandom(20_000))), tar(("b", b"two")))

    def refused(self, script, image=None):
        """The message of a pull that must fail and leave no image."""
        with ScriptedRegistry(script, image or self.image) as registry:
            error = self.host.refused("pull", f"{registry.address}/app:1")
            self.assertIn(registry.address, error)
            lines = [line for line in error.splitlines() if not line.startswith("  hint:")]
            self.assertEqual(len(lines), 1, error)
            self.assertEqual(self.host.images(), [])
            return error

    def assert_nothing_left(self):
        """What another download, stopped in its middle, had by then is kept for the next pull, until it is pruned."""
        self.host.strata("prune", "-f")
        self.assertEqual(self.host.leftovers(), [])

    def test_other_content(self):
        class Lies(Script):
            def blob(self, name):
                self.answer(200, bytes(len(self.server.blobs[name])))
        error = self.refused(Lies)
        self.assertRegex(error, "content has the digest sha256:[0-9a-f]+, not sha256:|damaged")
        self.assert_nothing_left()

    def test_longer_content(self):
        class Lies(Script):
            def blob(self, name):
                self.answer(200, self.server.blobs[name] + b"more")
        self.assertIn("is longer than the", self.refused(Lies))
        self.assert_nothing_left()

    def test_endless_content(self):
        class Lies(Script):
            def blob(self, name):
                self.send_response(200)
                self.send_header("Connection", "close")
                self.end_headers()
                while True:
                    self.wfile.write(bytes(65536))
        self.assertIn("is longer than the", self.refused(Lies))
        self.assert_nothing_left()

    def test_endless_manifest(self):
        class Lies(Script):
            def document(self, reference):
                self.send_response(200)
                self.send_header("Content-Type", MANIFEST)
                self.send_header("Connection", "close")
                self.end_headers()
                while True:
                    self.wfile.write(b" " * 65536)
        self.assertIn("longer than 4194304 bytes", self.refused(Lies))
        self.assert_nothing_left()

    def test_endless_headers(self):
        class Lies(Script):
            def document(self, reference):
                self.send_response(200)
                while True:
                    self.send_header("X-More", "x" * 1000)
                    self.flush_headers()
        error = self.refused(Lies)
        self.assertRegex(error, "headers|header")
        self.assert_nothing_left()

    def test_slow_drip(self):
        class Lies(Script):
            def blob(self, name):
                content = self.server.blobs[name]
                if len(content) < 10_000:
                    super().blob(name)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.connection.settimeout(0.2)
                while True: # a byte now and then, until the client has had enough
                    self.wfile.write(b"x")
                    self.wfile.flush()
                    try:
                        if self.connection.recv(1) == b"":
                            return
                    except TimeoutError:
                        pass
        self.host.settings["stall_seconds"] = 1
        self.assertRegex(self.refused(Lies), "too slow|timed out|Timeout")

    def test_wrong_manifest_digest(self):
        class Lies(Script):
            def document(self, reference):
                text = self.server.documents[reference]
                self.answer(200, text + b" ", Content_Type=MANIFEST, Docker_Content_Digest=digest(text))
        self.assertIn("has the digest", self.refused(Lies))
        self.assert_nothing_left()

    def test_index_entry_of_another_digest(self):
        class Lies(Script):
            def document(self, reference):
                if reference == "1":
                    entry = describe(MANIFEST, b"promised", platform={"os": "linux", "architecture": "amd64"})
                    text = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).encode()
                    self.answer(200, text, Content_Type=INDEX)
                else:
                    self.answer(200, self.server.documents["1"], Content_Type=MANIFEST)
        self.assertIn("not " + digest(b"promised"), self.refused(Lies))
        self.assert_nothing_left()

    def test_manifests_of_two_kinds(self):
        self.image.manifest["manifests"] = []
        self.assertIn("manifests does not belong", self.refused(Script))

    def test_malformed_manifests(self):
        for change, message in (({"layers": 7}, "layers is not a list"), ({"config": None}, "config is missing"),
                                ({"schemaVersion": 1}, "schemaVersion is not 2"),
                                ({"layers": [{"digest": "sha256:../../../etc/passwd"}]}, "layers[0]")):
            with self.subTest(message):
                image = Image(tar(("a", b"one")))
                image.manifest.update(change)
                self.assertIn(message, self.refused(Script, image))

    def test_deep_and_large_manifests(self):
        class Lies(Script):
            def document(self, reference):
                self.answer(200, b"[" * 1_000_000, Content_Type=MANIFEST)
        self.assertIn("nested too deeply", self.refused(Lies))

    def test_config_of_other_layers(self):
        self.image.manifest["layers"].pop()
        self.assertIn("the manifest has 1 layers", self.refused(Script))

    def test_other_types(self):
        class Lies(Script):
            def document(self, reference):
                self.answer(200, b"<html>", Content_Type="text/html")
        self.assertIn("type 'text/html'", self.refused(Lies))

    def test_redirects_to_other_schemes(self):
        secret = self.host / "secret"
        secret.write_text("secret")
        for target in (f"file://{secret}", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x", "dict://127.0.0.1/x"):
            class Lies(Script):
                def blob(self, name):
                    self.answer(307, Location=target)
            with self.subTest(target):
                self.assertRegex(self.refused(Lies), "rotocol")
                self.assert_nothing_left()

    def test_redirects_in_circles(self):
        class Lies(Script):
            def document(self, reference):
                self.answer(307, Location=self.path)
        self.assertIn("redirects", self.refused(Lies))

    def test_redirects_carry_no_credentials(self):
        class Elsewhere(Script):
            def blob(self, name):
                super().blob(name)
        with ScriptedRegistry(Elsewhere, self.image) as elsewhere:
            class Redirects(Script):
                def base(self):
                    self.answer(200)

                def document(self, reference):
                    if not self.headers.get("Authorization"):
                        self.answer(401, WWW_Authenticate='Basic realm="x"')
                    else:
                        super().document(reference)

                def blob(self, name):
                    # Another name of this host, so that it is another host.
                    self.answer(307, Location=f"http://localhost:{elsewhere.server.server_port}/v2/app/blobs/{name}")
            with ScriptedRegistry(Redirects, self.image) as registry:
                self.host.strata("login", "-u", "me", "--password-stdin", registry.address, input="secret\n")
                self.host.strata("pull", f"{registry.address}/app:1")
            self.assertTrue(elsewhere.server.requests)
            self.assertEqual({request[2] for request in elsewhere.server.requests}, {None})

    def test_uploads_carry_no_credentials_elsewhere(self):
        class Elsewhere(Script):
            def do_PUT(self):
                self.server.requests.append(("PUT", self.path, self.headers.get("Authorization"), None))
                self.rfile.read(int(self.headers["Content-Length"]))
                self.answer(201)
        with ScriptedRegistry(Elsewhere) as elsewhere:
            class Redirects(Script):
                def blob(self, name):
                    if not self.headers.get("Authorization"):
                        self.answer(401, WWW_Authenticate='Basic realm="x"')
                    else:
                        self.answer(404)

                def do_POST(self):
                    self.answer(202, Location=f"http://{elsewhere.address}/upload")

                def do_PUT(self):
                    self.rfile.read(int(self.headers["Content-Length"]))
                    self.answer(201)
            with ScriptedRegistry(Redirects) as registry:
                name = f"{registry.address}/app:1"
                layout(self.image, name, self.host / "in.tar")
                self.host.strata("load", "-i", self.host / "in.tar")
                self.host.strata("login", "-u", "me", "--password-stdin", registry.address, input="secret\n")
                self.host.strata("push", name)
            self.assertEqual({request[2] for request in elsewhere.server.requests}, {None})

    def test_uploads_to_other_schemes(self):
        class Lies(Script):
            def do_POST(self):
                self.answer(202, Location="file:///etc/passwd")
        with ScriptedRegistry(Lies) as registry:
            name = f"{registry.address}/app:1"
            layout(self.image, name, self.host / "in.tar")
            self.host.strata("load", "-i", self.host / "in.tar")
            self.assertIn("no safe place", self.host.refused("push", name))

    def test_connections_cut(self):
        class Lies(Script):
            def blob(self, name):
                content = self.server.blobs[name]
                if len(content) < 10_000:
                    super().blob(name)
                    return
                begin = int((self.headers.get("Range") or "bytes=0-")[6:-1])
                self.send_response(206 if begin else 200)
                if begin:
                    self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
                self.send_header("Content-Length", str(len(content) - begin))
                self.end_headers()
                self.wfile.write(content[begin:begin + 8_000]) # and no more
                self.close_connection = True
        with ScriptedRegistry(Lies, self.image) as registry:
            self.host.strata("pull", f"{registry.address}/app:1") # goes on until it has all
        self.assertEqual(self.host.leftovers(), [])

    def test_servers_that_fail(self):
        class Lies(Script):
            def blob(self, name):
                self.answer(403, b'{"errors":[{"code":"DENIED","message":"not for you"}]}')
        error = self.refused(Lies)
        self.assertIn("not for you", error)
        self.assertIn("strata login", error)
        self.assert_nothing_left()


if __name__ == "__main__":
    unittest.main()
