"""Cameras in child processes: forked, spawned, killed."""

import multiprocessing
import os
import unittest

import numpy as np

import vas_frames as vas
from rig import PATIENCE, Service, generated


def read_one(camera):
    """In a worker: what a camera from another process gives."""
    return camera.name, camera.read(timeout=PATIENCE).size


class Processes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = cls.enterClassContext(Service(generated("gate")))

    def open(self, **options):
        return self.enterContext(vas.open("gate", dir=self.service.dir, timeout=PATIENCE, **options))

    def in_child(self, work):
        """Runs `work` in a child of fork; returns what it returns as text."""
        readable, writable = os.pipe()
        child = os.fork()
        if child == 0:
            # Whatever happens, the child must not go on with the tests.
            try:
                os.write(writable, str(work()).encode())
            finally:
                os._exit(0)
        os.close(writable)
        with open(readable) as answers:
            answer = answers.read()
        os.waitpid(child, 0)
        return answer

    def held(self):
        """What this process has open of the export."""
        names = []
        for number in os.listdir("/proc/self/fd"):
            try:
                names.append(os.readlink(f"/proc/self/fd/{number}"))
            except FileNotFoundError:
                # The descriptor of the listing itself.
                pass
        return sorted(name.removeprefix(str(self.service.dir)) for name in names if name.startswith(str(self.service.dir)))

    def test_a_child_of_fork_gives_up_what_is_its_parents(self):
        camera = self.open()
        site = self.enterContext(vas.open_many(["gate"], dir=self.service.dir, threads=2))
        camera.read()
        site.pull_batch(np.zeros((1, 3, 8, 8), np.float32), timeout=PATIENCE)
        self.assertEqual(self.held(), ["/gate/frame.meta", "/gate/frame.meta", "/gate/readers", "/gate/readers"])
        self.assertEqual(self.in_child(self.held), "[]")

    def test_a_camera_is_opened_again_in_a_child_of_fork(self):
        camera = self.open(every=True, max_fps=20)
        camera.read()
        self.assertEqual(self.in_child(lambda: read_one(camera)), "('gate', (640, 360))")
        self.assertEqual(self.in_child(lambda: repr(camera)), repr(camera))
        # The parent's is as it was.
        self.assertEqual(camera.read().size, (640, 360))

    def test_a_site_is_opened_again_in_a_child_of_fork(self):
        site = self.enterContext(vas.open_many(["gate"], dir=self.service.dir, threads=2))
        out = np.zeros((1, 3, 8, 8), np.float32)
        pull = lambda: [row.why for row in site.pull_batch(out, timeout=PATIENCE)]
        self.assertEqual(pull(), [None])
        self.assertEqual(self.in_child(pull), "[None]")
        self.assertEqual(pull(), [None])

    def test_a_frame_is_of_use_in_a_child_of_fork(self):
        frame = self.open().read()
        self.assertEqual(self.in_child(lambda: frame.bgr().sum()), str(frame.bgr().sum()))

    def test_a_closed_camera_stays_closed_in_a_child_of_fork(self):
        camera = self.open()
        camera.close()
        self.assertEqual(self.in_child(lambda: camera.closed), "True")

    def test_a_childs_demand_is_its_own(self):
        camera = self.open(max_fps=11)
        demand = lambda: ((self.service.status("gate") or {}).get("export") or {}).get("demand") or {}
        self.service.until("the demand seen", lambda: 11.0 in demand().get("max_fps", []))
        readable, writable = os.pipe()
        child = os.fork()
        if child == 0:
            # It lives on until the parent has looked.
            os.close(writable)
            os.read(readable, 1)
            os._exit(0)
        os.close(readable)
        camera.close()
        try:
            self.service.until("the demand ended", lambda: 11.0 not in demand().get("max_fps", []))
        finally:
            os.close(writable)
            os.waitpid(child, 0)

    def test_workers_take_cameras_however_they_are_started(self):
        camera = self.open()
        for method in ("fork", "spawn", "forkserver"):
            with self.subTest(method), multiprocessing.get_context(method).Pool(2) as pool:
                self.assertEqual(pool.map(read_one, [camera] * 4), [("gate", (640, 360))] * 4)


if __name__ == "__main__":
    unittest.main()
