"""What users see of containers while they run: what they use, and what happens to them."""
import json
import re
import select
import unittest

from containers import ContainerTest, busybox_root
from tools import Image, layout


class Stats(ContainerTest):
    def stats(self, *arguments):
        lines = self.strata("stats", "--no-stream", "--format", "json", *arguments).splitlines()
        return {entry["Name"]: entry for entry in map(json.loads, lines)}

    def test_what_containers_use(self):
        self.start_box("sh", "-c", "while true; do :; done", options=["--name", "busy"])
        self.start_box("sh", "-c", "sleep 1000 & sleep 1000", options=["--name", "idle", "-m", "64m"])
        self.wait_for(lambda: self.stats("idle")["idle"]["PIDs"] == "2")
        seen = self.stats()
        self.assertEqual(sorted(seen), ["busy", "idle"])
        percent = {name: float(entry["CPUPerc"].rstrip("%")) for name, entry in seen.items()}
        self.assertGreater(percent["busy"], 1)
        self.assertLess(percent["idle"], 1)
        self.assertRegex(seen["idle"]["MemUsage"], r"^[0-9.]+(KiB|MiB) / 64MiB$")
        self.assertEqual(seen["busy"]["NetIO"], "0B / 0B")
        self.strata("kill", "busy")
        self.strata("wait", "busy")
        self.assertEqual(list(self.stats()), ["idle"])
        self.assertEqual(sorted(self.stats("-a")), ["busy", "idle"])

    def test_table(self):
        name = self.start_box("sleep", "1000", options=["--name", "it"])
        title, row = self.strata("stats", "--no-stream").splitlines()
        self.assertEqual(re.split(r"\s{2,}", title), ["CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O",
                                                      "BLOCK I/O", "PIDS"])
        self.assertEqual([row.split()[0], row.split()[1], row.split()[-1]], [name[:12], "it", "1"])
        self.assertEqual(self.strata("stats", "--no-stream", "--no-trunc", "--format", "{{.ID}}", "it").strip(), name)

    def test_goes_on_until_interrupted(self):
        self.start_box("sleep", "1000", options=["--name", "it"])
        process = self.host.start("stats", "--format", "{{.Name}} {{.PIDs}}")
        self.assertEqual([process.stdout.readline(), process.stdout.readline()], ["it 1\n", "it 1\n"])
        process.terminate()
        process.communicate(timeout=60)

    def test_names_that_are_none(self):
        self.assertIn("absent", self.host.refused("stats", "--no-stream", "absent"))
        self.assertIn("no container 'absent'", self.host.refused("stats", "--no-stream", "absent", "too"))


class ImageEvents(ContainerTest):
    def test_of_images(self):
        self.run_box("true") # there is a state
        self.strata("tag", "box", "other:2")
        self.strata("save", "-o", self.host / "box.tar", "box")
        self.strata("rmi", "other:2")
        self.strata("load", "-i", self.host / "box.tar")
        seen = self.strata("events", "--since", "1h", "--until", "0s", "--filter", "type=image", "--format", "{{.Action}} {{.Actor.ID}}")
        self.assertEqual(seen.splitlines(), ["tag other:2", "save box:latest", "untag other:2", "load box:latest"])
        self.assertEqual(self.strata("events", "--since", "1h", "--until", "0s", "--filter", "image=other:2", "--format", "{{.Action}}").split(),
                         ["tag", "untag"])


class Events(ContainerTest):
    def past(self, *arguments, form="{{.Type}} {{.Action}}"):
        return self.strata("events", "--since", "1h", "--until", "0s", "--format", form, *arguments).splitlines()

    def test_the_life_of_a_container(self):
        name = self.start_box("sleep", "1000", options=["--name", "it", "-l", "team=web"])
        for verb in (["pause"], ["unpause"], ["kill", "-s", "WINCH"], ["stop", "-t", "0"]):
            self.strata(*verb, "it")
        self.strata("rename", "it", "them")
        self.strata("rm", "them")
        self.assertEqual(self.past("--filter", f"container={name}"), [f"container {action}" for action in (
            "create", "start", "pause", "unpause", "kill", "die", "stop", "rename", "destroy")])
        self.assertEqual(self.past("--filter", "event=die", "--filter", "event=kill", "--filter", "label=team=web",
                                   form="{{.Action}} {{.Actor.Attributes.exitCode}} {{.Actor.Attributes.signal}}"),
                         ["kill <no value> 28", "die 137 <no value>"])
        self.assertEqual(self.past("--filter", "container=somebody"), [])

    def test_form(self):
        name = self.start_box("sh", "-c", "exit 3", options=["--name", "it"])
        self.strata("wait", "it")
        document = json.loads(self.past("--filter", "event=die", form="json")[0])
        self.assertEqual((document["Type"], document["Action"], document["status"], document["id"], document["from"]),
                         ("container", "die", "die", name, "box"))
        self.assertEqual(document["Actor"], {"ID": name, "Attributes": {"exitCode": "3", "image": "box", "name": "it"}})
        self.assertEqual(document["timeNano"] // 10**9, document["time"])
        self.assertRegex(self.past("--filter", "event=die", form="")[0],
                         rf"^\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{9}}Z container die {name} \(exitCode=3, image=box, name=it\)$")
        # Only what is in the time that is asked for:
        later = str(document["time"] + 3600)
        self.assertEqual(self.strata("events", "--since", later, "--until", "0s"), "")
        before = str(document["time"] - 3600)
        self.assertEqual(self.strata("events", "--since", before, "--until", before), "")

    def test_as_they_happen(self):
        self.strata("volume", "create", "before")
        process = self.host.start("events", "--filter", "type=container", "--filter", "type=volume",
                                  "--format", "{{.Action}} {{.Actor.ID}}")
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        # Until it watches nobody knows; then nothing is missed.
        for number in range(1000):
            self.strata("volume", "create", f"volume-{number}")
            if self.reads(process):
                break
        first = process.stdout.readline()
        self.assertRegex(first, "^create volume-")
        self.strata("volume", "rm", "before")
        while (line := process.stdout.readline()) != "destroy before\n":
            self.assertRegex(line, "^create volume-")

    @staticmethod
    def reads(process):
        return bool(select.select([process.stdout], [], [], 0.1)[0])

    def test_mistakes(self):
        self.assertIn("filter 'colour=red' is not known", self.host.refused("events", "--filter", "colour=red"))
        for option in ("--since", "--until"):
            self.assertIn(f"{option} yesterday: not a time", self.host.refused("events", option, "yesterday"))


class Healths(ContainerTest):
    def start_checked(self, command, *options):
        return self.start_box("sleep", "1000", options=["--name", "it", "--health-interval", "50ms", "--health-cmd", command, *options])

    def health(self):
        return json.loads(self.strata("inspect", "-f", "{{json .State.Health}}", "it"))

    def shown(self):
        return self.strata("ps", "-a", "--format", "{{.Status}}").strip()

    def test_well_and_not(self):
        self.start_checked("well=$(cat /well) || exit 1; echo $well; exit $well", "--health-retries", "2")
        self.strata("exec", "it", "sh", "-c", "echo 0 > /new; mv /new /well")
        self.wait_for(lambda: self.health()["Status"] == "healthy")
        self.assertTrue(self.shown().endswith(" (healthy)"))
        self.assertEqual(self.strata("ps", "-q", "--filter", "health=unhealthy"), "")
        self.strata("exec", "it", "sh", "-c", "echo 7 > /new; mv /new /well")
        self.wait_for(lambda: self.health()["Status"] == "unhealthy")
        self.assertTrue(self.shown().endswith(" (unhealthy)"))
        self.assertNotEqual(self.strata("ps", "-q", "--filter", "health=unhealthy"), "")
        self.wait_for(lambda: self.health()["FailingStreak"] > 4)
        health = self.health()
        self.assertEqual([(entry["ExitCode"], entry["Output"]) for entry in health["Log"]], [(7, "7\n")] * 5)
        self.assertLess(health["Log"][0]["Start"], health["Log"][0]["End"])
        events = self.strata("events", "--since", "1h", "--until", "0s", "--format", "{{.Action}}", "--filter", "event=health_status")
        self.assertEqual(events.splitlines()[-2:], ["health_status: healthy", "health_status: unhealthy"])
        self.strata("stop", "-t", "0", "it")
        self.assertNotIn("healthy", self.shown())

    def test_while_it_starts_failures_do_not_count(self):
        self.start_checked("exit 1", "--health-retries", "1", "--health-start-period", "1h")
        self.wait_for(lambda: len(self.health()["Log"]) == 3)
        self.assertEqual((self.health()["Status"], self.health()["FailingStreak"]), ("starting", 0))
        self.assertTrue(self.shown().endswith(" (health: starting)"))

    def test_checks_that_take_too_long(self):
        self.start_checked("echo begun; sleep 1000", "--health-timeout", "50ms", "--health-retries", "1")
        self.wait_for(lambda: self.health()["Status"] == "unhealthy")
        entry = self.health()["Log"][0]
        self.assertEqual((entry["ExitCode"], entry["Output"]), (-1, "the health check took longer than 0.05 seconds"))

    def test_of_the_image(self):
        check = {"Test": ["CMD", "test", "-e", "/etc/kept"], "Interval": 50_000_000}
        layout(Image(busybox_root(), config={"Cmd": ["sleep", "1000"], "Healthcheck": check}), "quay.io/checked:1", self.host / "in.tar")
        self.strata("load", "-i", self.host / "in.tar")
        self.strata("run", "-d", "--name", "it", "--network", "none", "quay.io/checked:1")
        self.wait_for(lambda: self.health()["Status"] == "healthy")
        seen = json.loads(self.strata("inspect", "-f", "{{json .Config.Healthcheck}}", "it"))
        self.assertEqual(seen, {**check, "Timeout": 30_000_000_000, "StartPeriod": 0, "Retries": 3})
        self.strata("run", "-d", "--name", "unchecked", "--network", "none", "--no-healthcheck", "quay.io/checked:1")
        self.assertNotIn("Health", json.loads(self.strata("inspect", "-f", "{{json .State}}", "unchecked")))

    def test_mistakes(self):
        self.assertIn("--health-interval soon: not a duration",
                      self.host.refused_with(125, "run", "--health-cmd", "true", "--health-interval", "soon", "box"))
        self.assertIn("contradicts", self.host.refused_with(125, "run", "--no-healthcheck", "--health-cmd", "true", "box"))


if __name__ == "__main__":
    unittest.main()
