"""Machines with a name, and the commands that reach them by it."""
import json
import os
import signal
import socket
import time
import unittest
from unittest.mock import patch

from command import BAD_ARGUMENT, FAILURE, POWER_OFF, obedient, strata
from guest import ENGINE, Console, Folder


class Named(unittest.TestCase):
    def setUp(self):
        folder = Folder()
        self.runtime = folder.__enter__()
        self.addCleanup(folder.__exit__)
        environment = patch.dict(os.environ, XDG_RUNTIME_DIR=str(self.runtime))
        environment.start()
        self.addCleanup(environment.stop)
        self.socket = self.runtime / "strata/machines/live.sock"

    def machine(self, *options):
        """A running machine that obeys its console."""
        console = Console(obedient("", "--name", "live", *options))
        self.addCleanup(console.close)
        console.expect("^ready$")
        return console

    def fails(self, message, *command, status=FAILURE):
        done = strata(*command)
        self.assertEqual((done.returncode, done.stdout), (status, ""))
        self.assertRegex(done.stderr, rf"\Astrata: {message}")

    def ask(self, text):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.socket))
            client.sendall(text + b"\n")
            return json.loads(client.makefile().readline())

    def test_status(self):
        self.machine("--cpu", "x86-64-v2")
        self.assertEqual(self.ask(b'{"request": "status"}'),
                         {"result": {"engine": ENGINE[1], "cpu": "x86-64-v2", "cpus": 1, "memory": 16 << 20,
                                     "paused": False}})

    def test_without_an_engine_it_gets_the_best_that_is_here(self):
        """And is told once what it was not given."""
        lines = strata("engines").stdout.splitlines()
        here = [line.split()[0] for line, after in zip(lines, [*lines[1:], ""])
                if not line.startswith(" ") and not after.startswith("  ")]
        self.assertIn(here[0], ("kvm", "translator"))
        command = obedient("", "--name", "live")
        console = Console([word for word in command if word not in ENGINE])
        self.addCleanup(console.close)
        console.expect("^ready$")
        self.assertEqual(self.ask(b'{"request": "status"}')["result"]["engine"], here[0])
        told = [line for line in console.log.splitlines() if line.startswith("strata: ")]
        if here[0] == "kvm":
            self.assertEqual(told, [])
        else:
            reason = lines[1].strip().removeprefix("not here: ")
            self.assertEqual(told, ["strata: runs on the translator: engine kvm cannot run here: "
                                    f"{reason} ('strata engines' says what each needs)"])

    def test_stats_of_a_software_engine_are_a_title(self):
        self.machine()
        done = strata("stats", "live")
        self.assertEqual((done.returncode, done.stdout.split()), (0, ["VCPU", "ENGINE", "REASON", "EXITS"]))

    def test_an_engine_is_inspected(self):
        self.machine()
        done = strata("inspect", "--engine", "live")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(json.loads(done.stdout), [{"Name": "live", "Processors": [{"interpreter": {}}]}])
        self.assertEqual(strata("inspect", "--engine", "-f", "{{.Name}}", "live").stdout, "live\n")
        missing = strata("inspect", "--engine", "other") # as of containers: an empty list, and the reason
        self.assertEqual((missing.returncode, missing.stdout), (FAILURE, "[]\n"))
        self.assertRegex(missing.stderr, r"\Astrata: no virtual machine named other is running\n  hint: ")

    def test_engines_that_cannot_be_switched_to(self):
        machine = self.machine()
        self.fails("unknown engine 'steam'\n  hint: ", "engine", "switch", "live", "steam")
        self.fails("unknown engine 'auto'\n  hint: ", "engine", "switch", "live", "auto")
        machine.type("off\n")
        self.assertEqual(machine.wait(), POWER_OFF)

    def test_a_debugged_machine_stays(self):
        console = Console(obedient("", "--name", "live", "--gdb", f"unix:{self.runtime}/gdb"))
        self.addCleanup(console.close)
        console.expect("waiting for GDB")
        self.fails("a machine with --gdb is paused by its debugger$", "pause", "live")
        self.fails("a machine with --gdb stays on its engine$", "engine", "switch", "live", "translator")

    def test_a_paused_machine_stands_still(self):
        machine = self.machine()
        for _ in range(2): # what is so already is no error
            done = strata("pause", "live")
            self.assertEqual((done.returncode, done.stdout), (0, "live\n"), done.stderr)
        machine.type("say=later\n")
        time.sleep(0.5)
        self.assertFalse(machine.has_more())
        self.fails("a paused machine stays on its engine\n  hint: ", "engine", "switch", "live", "translator")
        self.assertTrue(self.ask(b'{"request": "status"}')["result"]["paused"])
        self.assertEqual(strata("unpause", "live").stdout, "live\n")
        machine.expect("later")
        machine.type("off\n")
        self.assertEqual(machine.wait(), POWER_OFF)

    def test_nobody_of_that_name(self):
        for command in (("stats", "live"), ("engine", "switch", "live", "kvm")):
            self.fails("no virtual machine named live is running\n  hint: ", *command)

    def test_a_name_that_is_none(self):
        self.fails("'../live' is no name for a machine\n  hint: ", "stats", "../live")
        self.fails("'../live' is no name for a machine\n  hint: ", *obedient("", "--name", "../live")[1:],
                   status=BAD_ARGUMENT)

    def test_a_name_that_is_taken(self):
        self.machine()
        self.fails("a virtual machine named live is running already\n  hint: ", *obedient("", "--name", "live")[1:],
                   status=BAD_ARGUMENT)

    def test_of_two_that_start_at_once_one_gets_the_name(self):
        """Also where a machine that was killed left its socket."""
        for _ in range(5):
            killed = self.machine()
            killed.process.send_signal(signal.SIGKILL)
            killed.wait()
            both = [Console(obedient("", "--name", "live")) for _ in range(2)]
            for console in both:
                self.addCleanup(console.close)
                console.expect("^ready$|hint: ")
            winner, loser = sorted(both, key=lambda console: "hint: " in console.log)
            self.assertEqual(loser.wait(), BAD_ARGUMENT)
            self.assertEqual(loser.log, "strata: a virtual machine named live is running already\n"
                                        "  hint: choose another --name\n")
            self.assertEqual(self.ask(b'{"request": "status"}')["result"]["cpus"], 1)
            winner.type("off\n")
            self.assertEqual(winner.wait(), POWER_OFF)

    def test_the_name_is_free_again(self):
        machine = self.machine()
        machine.type("off\n")
        self.assertEqual(machine.wait(), POWER_OFF)
        self.assertFalse(self.socket.exists())
        self.machine().process.send_signal(signal.SIGKILL)
        self.machine()

    def test_a_folder_that_others_write_to(self):
        folder = self.runtime / "strata"
        folder.mkdir()
        folder.chmod(0o777)
        self.fails(f"{folder} is not a folder of this user alone\n  hint: ", *obedient("", "--name", "live")[1:],
                   status=BAD_ARGUMENT)


if __name__ == "__main__":
    unittest.main()
