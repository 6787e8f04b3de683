"""Completion in a real bash: the function as bash calls it, and the Tab key on a terminal."""
import os
import shlex
import subprocess
import unittest

from command import Terminal
from guest import STRATA, Folder

# Splits the line as bash does before it calls a completion function, and prints what the function answers.
HARNESS = r"""
source <("$STRATA" completion bash) || exit
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
_strata
printf '%s\n' "${COMPREPLY[@]}"
"""


class Completion(unittest.TestCase):
    def complete(self, *words, folder=None):
        """What is offered for the last word."""
        done = subprocess.run(["bash", "--norc", "-c", HARNESS, "bash", "strata", *words], capture_output=True, text=True,
                              cwd=folder, env={**os.environ, "STRATA": str(STRATA)}, check=True)
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_commands(self):
        self.assertEqual(self.complete("ru"), ["run"])
        everything = self.complete("")
        for word in ("run", "disk", "engines", "cpus", "devices", "pull", "images", "completion", "version", "--help"):
            self.assertIn(word, everything)
        self.assertEqual(sorted(self.complete("disk", "c")), ["convert", "create"])
        self.assertEqual(self.complete("disk", "create", "--ba"), ["--backing", "--backing-format"])

    def test_options(self):
        self.assertEqual(self.complete("run", "--ker"), ["--kernel"])
        self.assertEqual(sorted(self.complete("run", "--cp")), ["--cpu", "--cpu-shares", "--cpus", "--cpuset-cpus", "--cpuset-mems"])
        self.assertEqual(self.complete("run", "--kernel", "x", "--no-"), ["--no-reboot", "--no-healthcheck"])
        self.assertEqual(self.complete("cpus", "--ker"), [])
        self.assertIn("-p", self.complete("run", "-"))

    def test_values(self):
        for words, offered in (
            (["run", "--cpu", "k6"], ["k6-2"]),
            (["run", "--cpu", "=", "k6"], ["k6-2"]),
            (["run", "--engine", "int"], ["interpreter"]),
            (["run", "--engine", "="], None),
            (["run", "--net", ""], ["user", "bridge", "none", "host", "container:"]),
            (["run", "--board", ""], ["micro"]),
            (["run", "--trace", "ex"], ["exceptions"]),
            (["run", "--serial", "s"], ["stdio", "socket:", "socket:"]),
            (["run", "--cpus", ""], []),
            (["run", "--append", ""], []),
            (["disk", "create", "--format", ""], ["raw", "qcow2"]),
            (["disk", "convert", "--source-format", "a"], ["auto"]),
            (["cpus", "pentium-m"], ["pentium-mmx"]),
            (["completion", ""], None),
        ):
            with self.subTest(" ".join(words)):
                answer = self.complete(*words)
                if offered is None:
                    self.assertTrue(answer)
                else:
                    self.assertEqual(answer, offered)

    def test_files(self):
        with Folder() as folder:
            for name in ("vmlinuz", "vm.img", "other"):
                (folder / name).touch()
            for words in (["run", "--kernel"], ["run", "--initrd"], ["run", "--disk"], ["disk", "info"],
                          ["disk", "create", "--backing"], ["run", "--serial", "file", ":"],
                          ["run", "--translation-cache"]):
                with self.subTest(" ".join(words)):
                    self.assertEqual(sorted(self.complete(*words, "vm", folder=folder)), ["vm.img", "vmlinuz"])

    def test_tab_key(self):
        with Folder() as folder, Terminal(["bash", "--norc", "--noprofile", "-i"], env={**os.environ, "TERM": "dumb"}) as shell:
            (folder / "vmlinuz").touch()
            shell.type(f"PS1='$ '; PATH={shlex.quote(str(STRATA.parent))}:$PATH; cd {folder}; source <(strata completion bash)\n")
            shell.type("echo re''ady\n")
            shell.expect("^ready$")
            shell.type("strata dis\tcr\t--form\tq\t--help | head -n 1\n")
            shell.expect(r"strata disk create --format qcow2 --help")
            shell.expect("^Make an empty disk image")
            shell.type("strata run --kern\tvml\t--engine interp\t--help | head -n 1\n")
            shell.expect(r"strata run --kernel vmlinuz --engine interpreter --help")
            shell.expect("^Run a container of an image, or a virtual machine")
            shell.type("exit\n")


if __name__ == "__main__":
    unittest.main()
