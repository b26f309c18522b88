"""The gate and the subscriptions of Ruth AI Core, in the reader's process."""

import json
import pathlib
import subprocess
import tempfile
import unittest

import vas_frames as vas
from rig import PATIENCE, VAS, Service, generated

WANTED = """
[[subscription]]
camera = "gate"
model = "people"
max_fps = 5

[[subscription]]
camera = "gate"
model = "cars"
max_fps = "25/2"

[[subscription]]
camera = "yard"
model = "people"
"""


class Gates(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = cls.enterClassContext(Service(generated("gate"), generated("hall")))

    def setUp(self):
        self.camera = self.enterContext(vas.open("gate", dir=self.service.dir, every=True, timeout=PATIENCE))

    def subscriptions(self, text=WANTED):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        path = folder / "wanted.toml"
        path.write_text(text)
        return path

    def test_a_gate_decides_and_a_decision_changes_nothing(self):
        gate, frame = vas.Gate(5), self.camera.read()
        self.assertEqual(gate.max_fps, "5")
        for _ in range(3):
            decision = gate.decide(frame)
            self.assertTrue(decision and decision.allowed)
            self.assertEqual(decision.reason, "first_frame")
        gate.dispatched(frame)
        self.assertFalse(gate.decide(frame))
        self.assertEqual(repr(gate.decide(frame)), "<vas.Decision skip same_frame>")
        self.assertEqual(gate.decide(self.camera.read()).reason, "too_soon")
        self.assertEqual(vas.Gate().decide(frame).reason, "unlimited")

    def test_a_gate_judges_borrowed_frames(self):
        self.assertTrue(vas.Gate(5).decide(self.camera.borrow()))

    def test_subscriptions_decide_for_each_model(self):
        wanted = vas.subscriptions(self.subscriptions())
        self.assertEqual((wanted.cameras, wanted.models("gate")), (["gate", "yard"], ["cars", "people"]))
        self.assertEqual((wanted.max_fps("gate"), wanted.max_fps("yard")), ("25/2", None))
        frame = self.camera.read()
        self.assertEqual(wanted.allowed(frame), ["cars", "people"])
        wanted.dispatched("people", frame)
        self.assertEqual(wanted.allowed(frame), ["cars"])
        self.assertEqual(wanted.decide("people", frame).reason, "same_frame")
        self.assertEqual(wanted.decide("nobody", frame).reason, "not_subscribed")
        wanted.deactivate("gate", "cars")
        self.assertEqual((wanted.decide("cars", frame).reason, wanted.max_fps("gate")), ("inactive", "5"))
        wanted.activate("gate", "cars")
        self.assertTrue(wanted.decide("cars", frame))
        self.assertEqual(repr(wanted), "<vas.Subscriptions gate: cars, people; yard: people>")

    def test_what_nobody_subscribed_to_is_told(self):
        wanted = vas.subscriptions(self.subscriptions())
        with self.enterContext(vas.open("hall", dir=self.service.dir, timeout=PATIENCE)) as hall:
            with self.assertRaisesRegex(KeyError, "no subscription to camera hall"):
                wanted.decide("people", hall.read())
        with self.assertRaisesRegex(ValueError, "nobody"):
            wanted.dispatched("nobody", self.camera.read())

    def test_an_invalid_file_is_told_with_its_lines(self):
        path = self.subscriptions('[[subscription]]\ncamera = "gate"\nmodel = "people"\nmax_fps = 0\n')
        with self.assertRaisesRegex(ValueError, "wanted.toml:4"):
            vas.subscriptions(path)
        with self.assertRaises(FileNotFoundError):
            vas.subscriptions("/none.toml")

    def test_a_replay_is_that_of_the_command(self):
        wanted = self.subscriptions()
        recording = wanted.with_name("frames.jsonl")
        with open(recording, "wb") as out:
            subprocess.run([VAS, "watch", "gate", "--dir", self.service.dir, "--json", "--count", "30", "--timeout", "60"],
                           stdout=out, check=True)
        explained = []
        summaries = vas.gate_replay(recording, wanted, explain=explained.append)
        command = [VAS, "gate", "replay", "--meta", recording, "--subscriptions", wanted, "--json"]
        judge = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        self.assertEqual(summaries, [json.loads(line) for line in judge.splitlines()])
        self.assertEqual(len(explained), 60)
        self.assertEqual({answer["decision"] for answer in explained}, {"allow", "skip"})
        recording.write_text("{}\n")
        with self.assertRaisesRegex(ValueError, "frames.jsonl"):
            vas.gate_replay(recording, wanted)


if __name__ == "__main__":
    unittest.main()
