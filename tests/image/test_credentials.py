"""Who one is to a registry: basic and token authentication, credential helpers, certificates."""
import json
import unittest
from urllib.parse import parse_qs, urlsplit

from tools import DockerRegistry, Host, Image, Script, ScriptedRegistry, basic, digest, layout, run, tar


class Authentication(unittest.TestCase):
    def setUp(self):
        self.host = Host()
        self.addCleanup(self.host.__exit__)
        self.image = Image(tar(("a", b"one")))

    def load(self, name):
        layout(self.image, name, self.host / "in.tar")
        self.host.strata("load", "-i", self.host / "in.tar")

    def login(self, address, user="me", password="secret", **options):
        return self.host.strata("login", "-u", user, "--password-stdin", address, input=password + "\n", **options)

    def test_basic(self):
        with DockerRegistry(self.host, users={"me": "secret"}) as registry:
            name = f"{registry.address}/app:1"
            self.load(name)
            self.assertIn(f"strata login {registry.address}", self.host.refused("push", name))
            self.login(registry.address, password="wrong", status=1)
            self.assertIn("strata login", self.host.refused("push", name))
            self.assertIn("Login Succeeded", self.login(registry.address))
            self.host.strata("push", name)
            self.host.strata("pull", name)
            self.host.strata("logout", registry.address)
            self.host.refused("pull", name)

    def test_skopeo_reads_our_login(self):
        with DockerRegistry(self.host, users={"me": "secret"}) as registry:
            name = f"{registry.address}/app:1"
            self.load(name)
            self.login(registry.address)
            self.host.strata("push", name)
            shown = run("skopeo", "inspect", "--tls-verify=false", "--authfile", self.host / "docker/config.json",
                        f"docker://{name}")
            self.assertEqual(json.loads(shown)["Digest"], digest(self.image.text()))

    def test_helpers(self):
        with DockerRegistry(self.host, users={"me": "secret"}) as registry:
            helper = self.host / "docker-credential-test"
            helper.write_text("#!/bin/sh\n[ \"$1\" = get ] || exit 1; read -r server; "
                              "echo '{\"ServerURL\":\"x\",\"Username\":\"me\",\"Secret\":\"secret\"}'\n")
            helper.chmod(0o755)
            self.host.environment["PATH"] = f"{self.host.directory}:{self.host.environment['PATH']}"
            (self.host / "docker").mkdir()
            (self.host / "docker/config.json").write_text(json.dumps({"credHelpers": {registry.address: "test"}}))
            name = f"{registry.address}/app:1"
            self.load(name)
            self.host.strata("push", name)

    class Tokens(Script):
        """Gives a token to who knows the password, for the scope that was asked for."""

        def base(self):
            if self.allowed("") is not None:
                self.answer(200)

        def allowed(self, scope):
            if self.headers.get("Authorization") == "Bearer " + self.server.token:
                return True
            self.answer(401, WWW_Authenticate=f'Bearer realm="http://{self.server.address}/token",service="test",'
                                              f'scope="{scope}"')
            return None

        def document(self, reference):
            if self.allowed("repository:app:pull"):
                super().document(reference)

        def blob(self, name):
            if self.allowed("repository:app:pull"):
                super().blob(name)

        def other(self):
            query = parse_qs(urlsplit(self.path).query)
            self.server.scopes.append(query.get("scope"))
            if query.get("service") != ["test"] or self.headers.get("Authorization") not in (
                    None, basic("me", "secret")):
                self.answer(401)
            elif self.headers.get("Authorization") is None and not self.server.anonymous:
                self.answer(401)
            else:
                self.answer(200, json.dumps({"token": self.server.token}).encode())

    def token_registry(self, anonymous):
        registry = ScriptedRegistry(self.Tokens, self.image)
        registry.server.token, registry.server.anonymous, registry.server.scopes = "t0k3n", anonymous, []
        self.addCleanup(registry.__exit__)
        return registry

    def test_anonymous_tokens(self):
        registry = self.token_registry(anonymous=True)
        self.host.strata("pull", f"{registry.address}/app:1")
        self.assertEqual(set(map(tuple, registry.server.scopes)), {("repository:app:pull",)})

    def test_tokens_for_users(self):
        registry = self.token_registry(anonymous=False)
        name = f"{registry.address}/app:1"
        self.assertIn("gives no token", self.host.refused("pull", name))
        self.login(registry.address, password="wrong", status=1)
        self.login(registry.address)
        self.host.strata("pull", name)

    def test_tokens_only_from_safe_places(self):
        class Lies(Script):
            def document(self, reference):
                self.answer(401, WWW_Authenticate='Bearer realm="file:///etc/passwd",service="x"')
        with ScriptedRegistry(Lies, self.image) as registry:
            self.assertIn("no safe place for tokens", self.host.refused("pull", f"{registry.address}/app:1"))

    def test_unknown_schemes(self):
        class Lies(Script):
            def document(self, reference):
                self.answer(401, WWW_Authenticate="Negotiate")
        with ScriptedRegistry(Lies, self.image) as registry:
            self.assertIn("not known", self.host.refused("pull", f"{registry.address}/app:1"))


class Certificates(unittest.TestCase):
    def setUp(self):
        self.host = Host()
        self.addCleanup(self.host.__exit__)
        ca, key = self.host / "ca.pem", self.host / "ca.key"
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test CA", "-keyout", key,
            "-out", ca)
        run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-keyout", self.host / "s.key",
            "-out", self.host / "s.csr")
        (self.host / "s.ext").write_text("subjectAltName=IP:127.0.0.1\n")
        run("openssl", "x509", "-req", "-in", self.host / "s.csr", "-CA", ca, "-CAkey", key, "-CAcreateserial", "-days", "2",
            "-extfile", self.host / "s.ext", "-out", self.host / "s.pem")
        self.registry = DockerRegistry(self.host, tls=(self.host / "s.pem", self.host / "s.key"))
        self.addCleanup(self.registry.__exit__)
        self.name = f"{self.registry.address}/app:1"
        layout(Image(tar(("a", b"one"))), self.name, self.host / "in.tar")
        self.host.strata("load", "-i", self.host / "in.tar")

    def use(self, **settings):
        self.host.settings["registries"] = {self.registry.address: {"plain_http": False, **settings}}

    def test_unknown_ones_are_refused(self):
        self.use()
        error = self.host.refused("push", self.name)
        self.assertIn("certificate", error)
        self.assertIn("certs.d", error)

    def test_plain_requests_are_explained(self):
        self.assertIn(self.registry.address, self.host.refused("push", self.name))

    def test_a_ca_in_the_settings(self):
        self.use(ca=str(self.host / "ca.pem"))
        self.host.strata("push", self.name)
        self.host.strata("pull", self.name)

    def test_a_ca_in_its_directory(self):
        directory = self.host / ".config/strata/certs.d" / self.registry.address
        directory.mkdir(parents=True)
        (directory / "ca.crt").write_bytes((self.host / "ca.pem").read_bytes())
        self.use()
        self.host.strata("push", self.name)

    def test_unverified_when_told(self):
        self.use(verify_tls=False)
        self.host.strata("push", self.name)


if __name__ == "__main__":
    unittest.main()
