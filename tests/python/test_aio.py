"""Coroutines: many cameras, one thread that waits."""

import asyncio
import os
import pathlib
import unittest

import vas_frames as vas
from rig import PATIENCE, SILENT, Service, generated


def threads_that_wait():
    tasks = pathlib.Path("/proc/self/task")
    return [name for task in tasks.iterdir() if (name := (task / "comm").read_text().strip()) == "vas-waiter"]


class Coroutines(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = cls.enterClassContext(Service(generated("gate"), generated("yard", "320x240", 10), SILENT))

    def open(self, name="gate", **options):
        return self.enterContext(vas.open(name, dir=self.service.dir, **options))

    def test_frames_of_many_cameras_come_side_by_side(self):
        async def take(camera, count):
            ids = []
            async for frame in camera:
                ids.append(frame.id)
                if len(ids) == count:
                    return ids

        async def main():
            cameras = [self.open(every=True) for _ in range(50)] + [self.open("yard") for _ in range(50)]
            taken = await asyncio.wait_for(asyncio.gather(*(take(camera, 5) for camera in cameras)), PATIENCE)
            for ids in taken:
                self.assertEqual(ids, sorted(set(ids)))
            self.assertEqual(len(threads_that_wait()), 1)

        asyncio.run(main())

    def test_other_coroutines_run_during_a_wait(self):
        async def main():
            camera = self.open("silent")
            waits = asyncio.ensure_future(camera.aread())
            for _ in range(100):
                await asyncio.sleep(0)
            self.assertFalse(waits.done())
            waits.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await waits

        asyncio.run(main())

    def test_a_timeout_is_told(self):
        async def main():
            with self.assertRaisesRegex(vas.NoFrame, "camera silent published no frame within 0.05 s"):
                await self.open("silent").aread(timeout=0.05)
            with self.assertRaises(vas.NoFrame):
                await self.open("silent", timeout=0.01).aread()
            with self.assertRaises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await self.open("silent").aread()

        asyncio.run(main())

    def test_closing_ends_the_loop(self):
        async def main():
            camera = self.open()
            seen = 0
            async for _ in camera:
                seen += 1
                if seen == 3:
                    camera.close()
            self.assertEqual(seen, 3)

        asyncio.run(main())

    def test_closing_ends_a_wait_of_another_task(self):
        async def main():
            camera = self.open("silent")
            reads = asyncio.ensure_future(camera.aread())

            async def iterate():
                async for _ in camera:
                    pass

            iterates = asyncio.ensure_future(iterate())
            await asyncio.sleep(0)
            camera.close()
            with self.assertRaisesRegex(ValueError, "camera silent is closed"):
                await asyncio.wait_for(reads, PATIENCE)
            await asyncio.wait_for(iterates, PATIENCE)

        asyncio.run(main())

    def test_a_timeout_loses_no_frame(self):
        async def main():
            camera = self.open(every=True)
            judge = self.open(every=True)
            first = judge.read(timeout=PATIENCE).id
            ids = []
            while len(ids) < 10:
                try:
                    ids.append((await camera.aread(timeout=0.001)).id)
                except vas.NoFrame:
                    pass
            wanted = [first]
            while wanted[-1] < ids[-1]:
                wanted.append(judge.read(timeout=PATIENCE).id)
            self.assertEqual(ids, [id for id in wanted if id >= ids[0]])

        asyncio.run(main())

    def test_one_loop_after_the_other(self):
        camera = self.open()
        for _ in range(3):
            self.assertEqual(asyncio.run(camera.aread()).camera, "gate")

    def test_a_child_of_fork_waits_by_itself(self):
        camera = self.open()
        asyncio.run(camera.aread())
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if asyncio.run(camera.aread(timeout=PATIENCE)).camera == "gate" else 1)
            finally:
                os._exit(2)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)


class Endings(unittest.TestCase):
    def test_a_stop_is_told_and_a_start_is_followed(self):
        with Service(generated("gate")) as service:

            async def main():
                camera = self.enterContext(vas.open("gate", dir=service.dir))
                patient = self.enterContext(vas.open("gate", dir=service.dir, follow=True))
                first, last = await camera.aread(), await patient.aread()
                await asyncio.to_thread(service.stop)
                with self.assertRaises(vas.WriterGone):
                    while True:
                        await camera.aread(timeout=PATIENCE)
                with self.assertRaises(vas.WriterGone):
                    await camera.aread(timeout=0.05)
                await asyncio.to_thread(service.start)
                self.assertGreater((await camera.aread(timeout=PATIENCE)).id, first.id)
                self.assertGreater((await patient.aread(timeout=PATIENCE)).id, last.id)

            asyncio.run(main())


if __name__ == "__main__":
    unittest.main()
