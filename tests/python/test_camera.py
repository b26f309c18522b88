"""One camera: opening, reading, pixels, errors, the service's restarts."""

import gc
import os
import pathlib
import pickle
import signal
import subprocess
import tempfile
import threading
import unittest

import cv2
import numpy as np

import vas_frames as vas
from rig import PATIENCE, SILENT, Service, example_reader, generated, run_python


ODD = 'export = { width = 63, height = 35, fit = "stretch" }'


class Reading(unittest.TestCase):
    """Against a service that runs all the time."""

    @classmethod
    def setUpClass(cls):
        cls.service = cls.enterClassContext(Service(generated("gate"), generated("odd", keys=ODD), SILENT))

    def open(self, name="gate", **options):
        options.setdefault("timeout", PATIENCE)
        return self.enterContext(vas.open(name, dir=self.service.dir, **options))

    def other_reader(self):
        """An independent reader of the camera gate."""
        reader = example_reader().Camera("gate", str(self.service.dir))
        self.addCleanup(lambda: (reader.readers.close(), reader.ring and reader.ring.meta.close()))
        return reader

    def test_frames_come_in_order_with_their_metadata(self):
        last = None
        camera = self.open(every=True)
        for frame, _ in zip(camera, range(10)):
            self.assertEqual((frame.camera, frame.size, frame.original_size), ("gate", (640, 360), (640, 360)))
            self.assertEqual((frame.content, frame.decoder), ((0, 0, 640, 360), "software"))
            self.assertTrue(frame.key and not frame.corrupt and not frame.interlaced)
            self.assertTrue(0 <= frame.arrival <= frame.decoded <= frame.published)
            self.assertGreaterEqual(frame.age, 0)
            if last:
                self.assertGreater((frame.id, frame.published), (last.id, last.published))
                self.assertEqual(frame.epoch, last.epoch)
            last = frame
        self.assertIn(f"{last.id} of gate: 640x360", repr(last))
        self.assertEqual(repr(camera), "<vas.Camera gate: every frame>")

    def test_pixels_are_those_of_another_reader(self):
        reader = self.other_reader()
        camera = self.open(every=True)
        frame = camera.read()
        judge = reader.next_after(frame.id - 1)
        while judge.frame_id != frame.id:
            # The ring went on between the two reads.
            frame = camera.read()
            judge = reader.next_after(frame.id - 1)
        self.assertEqual(frame.nv12.tobytes(), judge.nv12.tobytes())
        self.assertEqual(frame.y.tobytes() + frame.uv.tobytes(), judge.nv12.tobytes())

    def test_arrays_belong_to_the_program(self):
        camera = self.open()
        frame = camera.read()
        luma, before = frame.y, frame.y.tobytes()
        self.assertEqual((luma.shape, frame.uv.shape, frame.nv12.shape), ((360, 640), (180, 320, 2), (540, 640)))
        self.assertTrue(luma.flags.writeable and luma.flags.c_contiguous)
        del frame
        for _ in range(5):
            camera.read()
        gc.collect()
        self.assertEqual(luma.tobytes(), before)
        luma[:] = 0

    def test_odd_sizes(self):
        frame = self.open("odd").read()
        self.assertEqual((frame.size, frame.y.shape, frame.uv.shape), ((63, 35), (35, 63), (18, 32, 2)))
        self.assertEqual(frame.original_size, (640, 360))
        np.testing.assert_allclose(frame.to_original([[0, 0, 63, 35]]), [[0, 0, 640, 360]])
        self.assertEqual(frame.bgr().shape, (35, 63, 3))
        with self.assertRaisesRegex(ValueError, "63 pixels wide.*even width"):
            frame.nv12

    def test_a_borrowed_frame_is_read_only_and_in_place(self):
        camera = self.open()
        with camera.borrow() as view:
            self.assertFalse(view.y.flags.writeable or view.uv.flags.writeable or view.y.flags.owndata)
            with self.assertRaisesRegex(ValueError, "read-only"):
                view.y[0, 0] = 1
            with self.assertRaises(ValueError):
                view.y.flags.writeable = True
            copy = view.copy()
            pixels = view.y.copy()
            self.assertTrue(view.still_valid())
        self.assertEqual(copy.id, view.id)
        np.testing.assert_array_equal(copy.y, pixels)
        self.assertGreater(view.valid_until, view.published)

    def test_a_borrowed_frame_is_overwritten_at_last(self):
        camera = self.open()
        view = camera.borrow()
        while view.still_valid():
            camera.read()
        with self.assertRaisesRegex(vas.Overwritten, f"frame {view.id} was overwritten"):
            view.copy()
        # The ring is mapped as long as an array needs it.
        luma = view.y
        camera.close()
        del view, camera
        gc.collect()
        luma.sum()

    def test_read_into_fills_an_array(self):
        camera = self.open(every=True)
        out = np.zeros((540, 640), np.uint8)
        metadata = camera.read_into(out)
        self.assertIs(type(metadata), vas.Metadata)
        judge = self.other_reader().next_after(metadata.id - 1)
        if judge.frame_id == metadata.id:
            self.assertEqual(out.tobytes(), judge.nv12.tobytes())
        self.assertGreater(int(out.max()), 0)
        with self.assertRaisesRegex(ValueError, "out has 4 bytes, expected 345600: camera gate sends 640x360"):
            camera.read_into(np.zeros((2, 2), np.uint8))
        with self.assertRaisesRegex(ValueError, "not contiguous"):
            camera.read_into(np.zeros((540, 1280), np.uint8)[:, ::2])
        with self.assertRaises(TypeError):
            camera.read_into(np.zeros((540, 640), np.float32))

    def test_colors_are_those_of_opencv(self):
        # 360 rows and no matrix: BT.601, limited, which is what OpenCV assumes.
        frame = self.open().read()
        self.assertEqual((frame.matrix, frame.full_range), (2, False))
        ours, judge = frame.bgr(), cv2.cvtColor(frame.nv12, cv2.COLOR_YUV2BGR_NV12)
        self.assertLessEqual(np.abs(ours.astype(int) - judge).max(), 1)
        np.testing.assert_array_equal(frame.rgb(), ours[..., ::-1])
        self.assertEqual(frame.gray().shape, (360, 640))
        out = np.zeros_like(ours)
        self.assertIs(frame.bgr(out), out)
        np.testing.assert_array_equal(out, ours)
        with self.assertRaisesRegex(ValueError, r"out has the shape \[2, 2, 3\], expected \[360, 640, 3\]"):
            frame.bgr(np.zeros((2, 2, 3), np.uint8))

    def test_a_frame_is_not_converted_into_itself(self):
        frame = self.open().read()
        with self.assertRaisesRegex(ValueError, "out shares its memory with the frame"):
            frame.gray(frame.y)
        with self.assertRaisesRegex(ValueError, "out shares its memory with the frame"):
            frame.resized((640, 540), order="gray", out=frame.nv12)

    def test_a_wait_may_be_without_a_limit(self):
        camera = pickle.loads(pickle.dumps(self.open(timeout=float("inf"))))
        self.assertEqual(camera.read(timeout=float("inf")).camera, "gate")
        with self.assertRaisesRegex(ValueError, "timeout is NaN"):
            camera.read(timeout=float("nan"))

    def test_resized_keeps_the_aspect_as_asked(self):
        frame = self.open().read()
        # Soft colors: conversion is linear within RGB, and OpenCV converts before it resizes.
        frame.y[:] = np.linspace(60, 180, 640, dtype=np.uint8)
        frame.uv[:] = np.linspace(118, 138, 180, dtype=np.uint8)[:, None, None]
        boxed = frame.resized((320, 320))
        self.assertEqual(boxed.shape, (320, 320, 3))
        self.assertTrue((boxed[:70] == 114).all() and (boxed[250:] == 114).all())
        judge = cv2.resize(frame.rgb(), (320, 180), interpolation=cv2.INTER_LINEAR)
        self.assertLessEqual(np.abs(boxed[70:250].astype(int) - judge).max(), 2)
        self.assertEqual(frame.resized((20, 10), fit="stretch", order="gray").shape, (10, 20))
        self.assertEqual(frame.resized((20, 20), fit="crop", order="bgr").shape, (20, 20, 3))
        with self.assertRaisesRegex(ValueError, 'fit is "fill", expected "letterbox" or "stretch" or "crop"'):
            frame.resized((20, 20), fit="fill")
        with self.assertRaisesRegex(ValueError, "0x20"):
            frame.resized((0, 20))

    def test_a_saved_picture_is_the_frame(self):
        frame = self.open().read()
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "x.png"
            frame.save(path)
            np.testing.assert_array_equal(cv2.imread(str(path)), frame.bgr())
            self.assertEqual(path.read_bytes(), frame._repr_png_())
            self.assertEqual(os.listdir(folder), ["x.png"])
            with self.assertRaisesRegex(ValueError, "ends in .png"):
                frame.save(path.with_suffix(".jpg"))
            with self.assertRaises(FileNotFoundError):
                frame.save(pathlib.Path(folder) / "none/x.png")

    def test_other_libraries_take_the_frame(self):
        frame = self.open().read()
        array = np.asarray(frame)
        self.assertTrue(np.shares_memory(array, frame.nv12))
        np.testing.assert_array_equal(np.from_dlpack(frame), frame.nv12)
        self.assertEqual(np.asarray(frame, dtype=np.float32).dtype, np.float32)
        self.assertFalse(np.shares_memory(np.array(frame, copy=True), array))
        with self.assertRaisesRegex(ValueError, "needs a copy"):
            frame.__array__(np.float32, copy=False)

    def test_points_are_mapped(self):
        frame = self.open().read()
        boxes = [[1, 2, 3, 4]]
        np.testing.assert_array_equal(frame.to_original(boxes), boxes)
        # What a detector that found nothing gives: no rows, with strides of any kind.
        for empty in (np.zeros((0, 4)), np.asarray((), dtype=float).reshape(-1, 4), np.zeros((5, 4))[5:, :],
                      np.zeros((4, 0)).T, np.zeros((0, 4), order="F")):
            self.assertEqual(frame.to_original(empty).shape, (0, 4))
        many = np.arange(40.0).reshape(10, 4)
        for view in (many[::-2], many.astype(np.int32), many[:, ::-1], np.asfortranarray(many)):
            np.testing.assert_array_equal(frame.to_original(view), np.clip(view, 0, 360))
        with self.assertRaisesRegex(ValueError, r"\(n, 2\) for points or \(n, 4\) for boxes"):
            frame.to_original([[1, 2, 3]])

    def test_the_rate_is_a_maximum(self):
        # In no second of published time more than the maximum (contract R3.2), though the service copies every frame.
        self.open()
        camera = self.open(max_fps=5)
        times = [frame.published for frame, _ in zip(camera, range(12))]
        for first in times:
            self.assertLessEqual(sum(first <= time < first + 1 for time in times), 5)

    def test_a_gate_that_skips_every_frame_ends_no_later_than_the_timeout(self):
        self.open()
        camera = self.open(max_fps="1/1000", every=True)
        camera.read()
        with self.assertRaises(vas.NoFrame):
            camera.read(timeout=0.2)

    def test_rates_are_stated_in_many_ways(self):
        for rate, words in [(5, "5"), (12.5, "25/2"), ("30000/1001", "30000/1001"), (1 / 3, "333333/1000000")]:
            self.assertEqual(repr(self.open(max_fps=rate)), f"<vas.Camera gate: at most {words} fps>")
        for wrong in (0, -1, "fast", float("nan"), float("inf"), 1e12):
            with self.assertRaisesRegex(ValueError, "expected a number above 0"):
                self.open(max_fps=wrong)
        with self.assertRaises(TypeError):
            self.open(max_fps=True)

    def test_the_demand_is_the_services_to_see(self):
        camera = self.open(max_fps=7)
        demand = lambda: (self.service.status("gate") or {}).get("export") or {}
        self.service.until("seven a second demanded", lambda: 7.0 in (demand().get("demand") or {}).get("max_fps", []))
        camera.close()
        self.service.until("no demand", lambda: 7.0 not in (demand().get("demand") or {}).get("max_fps", []))

    def test_a_silent_camera_has_no_frame(self):
        camera = self.open("silent")
        for wait in (camera.read, camera.latest, camera.borrow):
            with self.assertRaisesRegex(vas.NoFrame, "camera silent published no frame within 0.05 s"):
                wait(timeout=0.05)
        with self.assertRaises(TimeoutError):
            self.open("silent", timeout=0.01).read()
        with self.assertRaisesRegex(ValueError, "timeout is -1"):
            camera.read(timeout=-1)

    def test_what_cannot_be_opened(self):
        with self.assertRaisesRegex(vas.NoCamera, "no such camera: .*/yard does not exist"):
            self.open("yard")
        with self.assertRaises(FileNotFoundError):
            self.open("yard")
        with self.assertRaises(ValueError):
            self.open("../etc")
        self.assertTrue(issubclass(vas.NoCamera, vas.Error))

    def test_the_cameras_are_listed(self):
        self.assertEqual(vas.cameras(self.service.dir), ["gate", "odd", "silent"])
        self.assertEqual(vas.cameras("/none"), [])

    def test_a_closed_camera_ends_its_loops(self):
        camera = self.open()
        frame = camera.read()
        camera.close()
        self.assertEqual(list(camera), [])
        self.assertTrue(camera.closed and "closed" in repr(camera))
        with self.assertRaisesRegex(ValueError, "camera gate is closed"):
            camera.read()
        self.assertEqual(frame.bgr().shape, (360, 640, 3))

    def test_one_thread_at_a_time_and_closing_ends_its_wait(self):
        camera = self.open("silent", timeout=None)
        ended = []
        threads = [
            threading.Thread(target=lambda: ended.append(self.assertRaises(ValueError, camera.read))),
            threading.Thread(target=lambda: ended.append(list(camera))),
        ]
        for thread in threads[:1]:
            thread.start()
        while True:
            try:
                camera.read(timeout=0)
            except vas.Busy as busy:
                self.assertRegex(str(busy), "camera silent is being read by another thread")
                break
            except vas.NoFrame:
                # The thread has not begun to read.
                pass
        camera.close()
        threads[0].join()
        threads[1].start()
        threads[1].join()
        self.assertEqual(ended, [None, []])

    def test_threads_read_with_a_camera_each(self):
        seen = []

        def read():
            with vas.open("gate", dir=self.service.dir, timeout=PATIENCE) as camera:
                seen.append([camera.read().id for _ in range(5)])

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([len(ids) for ids in seen], [5] * 4)

    def test_a_camera_is_opened_again_from_its_pickle(self):
        camera = self.open(max_fps="30000/1001", every=True)
        again = pickle.loads(pickle.dumps(camera))
        self.assertEqual((repr(again), again.timeout), (repr(camera), PATIENCE))
        self.assertEqual(again.read().camera, "gate")
        with self.assertRaises(TypeError):
            pickle.dumps(camera.read())

    def test_a_thousand_opens_leak_nothing(self):
        def held():
            gc.collect()
            maps = pathlib.Path("/proc/self/maps").read_text().count(str(self.service.dir))
            return len(os.listdir("/proc/self/fd")), maps, len(os.listdir("/proc/self/task"))

        def use(rounds):
            for _ in range(rounds):
                with vas.open("gate", dir=self.service.dir, timeout=PATIENCE) as camera:
                    camera.latest()

        use(10)
        before = held()
        use(1000)
        self.assertEqual(held(), before)


class Endings(unittest.TestCase):
    """The service stops, dies, starts again and changes."""

    def setUp(self):
        self.service = self.enterContext(Service(generated("gate")))

    def open(self, **options):
        return self.enterContext(vas.open("gate", dir=self.service.dir, timeout=PATIENCE, **options))

    def until_gone(self, camera, words):
        with self.assertRaisesRegex(vas.WriterGone, words):
            while True:
                camera.read()

    def test_a_stop_is_told_once_and_the_next_start_is_followed(self):
        camera = self.open()
        last = camera.read()
        self.service.stop()
        self.until_gone(camera, r"gone \(stopped\); a later call follows the next one")
        with self.assertRaises(ConnectionError):
            camera.read(timeout=0.1)
        self.service.start()
        frame = camera.read()
        self.assertGreater((frame.epoch, frame.id), (last.epoch, last.id))

    def test_a_kill_in_mid_read_is_told_and_followed(self):
        camera = self.open()
        camera.read()
        waiting = threading.Event()
        threading.Thread(target=lambda: (waiting.wait(), self.service.kill())).start()
        with self.assertRaisesRegex(vas.WriterGone, r"gone \(died\)"):
            while True:
                waiting.set()
                camera.read()
        with self.assertRaises(vas.WriterGone):
            vas.open("gate", dir=self.service.dir)
        self.service.start()
        self.assertEqual(camera.read().size, (640, 360))

    def test_follow_waits_over_a_restart(self):
        camera = self.open(follow=True)
        first = camera.read()
        self.service.stop()
        self.service.start()
        frame = camera.read()
        while frame.epoch == first.epoch:
            frame = camera.read()
        self.assertGreater(frame.id, first.id)

    def test_a_new_size_is_a_new_epoch(self):
        camera = self.open(follow=True)
        first = camera.read()
        self.service.configure(generated("gate", "320x240"))
        self.service.reload()
        frame = camera.read()
        while frame.size == first.size:
            frame = camera.read()
        self.assertEqual((frame.size, frame.y.shape), ((320, 240), (240, 320)))
        self.assertGreater(frame.epoch, first.epoch)
        # Frames of the old epoch stay what they were.
        self.assertEqual(first.bgr().shape, (360, 640, 3))


class Programs(unittest.TestCase):
    """Programs of their own: interrupted and killed."""

    @classmethod
    def setUpClass(cls):
        cls.service = cls.enterClassContext(Service(generated("gate"), SILENT))

    def test_ctrl_c_ends_every_wait(self):
        waits = {
            "read": "camera.read()", "latest": "camera.latest()", "borrow": "camera.borrow()", "iteration": "next(camera)",
            "read_into": "camera.read_into(numpy.zeros(4, numpy.uint8))",
            "batch": "site.pull_batch(numpy.zeros((1, 3, 8, 8), numpy.float32), timeout=None)",
            "aligned": "site.pull_aligned(timeout=None)",
            "coroutine": "asyncio.run(camera.aread())",
        }
        code = ("import asyncio, sys, numpy, vas_frames as vas\n"
                "camera = vas.open('silent', dir=sys.argv[1])\n"
                "site = vas.open_many(['silent'], dir=sys.argv[1])\n"
                "try:\n    print('waits', flush=True)\n    {}\nexcept KeyboardInterrupt:\n    print('interrupted', flush=True)\n")
        for name, wait in waits.items():
            with self.subTest(name):
                program = run_python(code.format(wait), self.service.dir)
                self.assertEqual(program.stdout.readline(), "waits\n")
                program.send_signal(signal.SIGINT)
                out, _ = program.communicate(timeout=PATIENCE)
                self.assertEqual((out, program.returncode), ("interrupted\n", 0))

    def test_a_killed_reader_leaves_nothing(self):
        code = ("import sys, vas_frames as vas\n"
                "camera = vas.open('gate', dir=sys.argv[1], max_fps=3)\n"
                "for frame in camera:\n    print(frame.id, flush=True)\n")
        program = run_python(code, self.service.dir)
        self.assertTrue(program.stdout.readline())
        present = lambda: (self.service.status("gate") or {"export": None})["export"]
        self.service.until("a reader seen", lambda: present() and present()["readers"])
        program.send_signal(signal.SIGKILL)
        program.communicate()
        self.service.until("no reader seen", lambda: present() is None or not present()["readers"])

    def test_a_program_may_end_in_a_wait(self):
        # A thread of the package's waits while the interpreter ends.
        code = ("import asyncio, sys, vas_frames as vas\n"
                "async def main():\n"
                "    camera = vas.open('gate', dir=sys.argv[1])\n"
                "    print((await camera.aread()).camera)\n"
                "    asyncio.ensure_future(camera.aread())\n"
                "    await asyncio.sleep(0)\n"
                "asyncio.run(main())\n")
        program = run_python(code, self.service.dir, stderr=subprocess.STDOUT)
        out, _ = program.communicate(timeout=PATIENCE)
        self.assertEqual((out, program.returncode), ("gate\n", 0))


if __name__ == "__main__":
    unittest.main()
