"""Registering a ring with the reader's own CUDA context, on the simulated device."""

import os
import subprocess
import unittest

from rig import PATIENCE, TARGET, Service, generated, run_python

# The primary context of the first device, as CUDA's runtime and torch make it.
CONTEXT = """
import ctypes, sys, vas_frames as vas
cuda, context = ctypes.CDLL("libcuda.so.1"), ctypes.c_void_p()
assert cuda.cuInit(0) == 0 and cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
assert cuda.cuCtxSetCurrent(context) == 0
camera = vas.open("gate", dir=sys.argv[1], timeout=60)
"""
RELEASE = "\nassert cuda.cuDevicePrimaryCtxRelease_v2(0) == 0\n"


class Registering(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = cls.enterClassContext(Service(generated("gate")))

    def run_code(self, code, **environment):
        """Runs a program on the simulated device; returns its lines and the simulator's report."""
        report = self.service.folder / "report"
        report.unlink(missing_ok=True)
        environment = os.environ | environment | {
            "LD_LIBRARY_PATH": str(TARGET / "sim-gpu"), "SIM_GPU_REPORT": str(report)}
        program = run_python(code, self.service.dir, env=environment, stderr=subprocess.STDOUT)
        out, _ = program.communicate(timeout=PATIENCE)
        self.assertEqual(program.returncode, 0, out)
        return out.splitlines(), report.read_text()

    def assertClean(self, report):
        misuse = [line for line in report.splitlines() if not line.startswith("#")]
        self.assertEqual(misuse, [], report)

    def test_a_ring_is_registered_and_unregistered_once(self):
        lines, report = self.run_code(CONTEXT + """
with camera.register_cuda() as ring:
    print(ring.pinned, ring.why, ring.nbytes, ring.epoch == camera.latest().epoch)
print(ring.pinned, ring.why)
ring.close()
dropped = camera.register_cuda()
del dropped
again = camera.register_cuda()
print(again.pinned)
again.close()
""" + RELEASE)
        self.assertRegex(lines[0], r"^True None [1-9]\d+ True$")
        self.assertEqual(lines[1:], ["False it was closed", "True"])
        self.assertClean(report)
        self.assertNotIn(" 0 pinned bytes", report)

    def test_a_refusal_is_told_and_reading_goes_on(self):
        lines, report = self.run_code(CONTEXT + """
ring = camera.register_cuda()
print(ring.pinned, ring.why)
print(camera.read().size)
ring.close()
""" + RELEASE, SIM_GPU_FAULT="cuMemHostRegister_v2:1+:CUDA_ERROR_NOT_SUPPORTED")
        self.assertEqual(lines, ["False cuMemHostRegister_v2 failed: CUDA_ERROR_NOT_SUPPORTED", "(640, 360)"])
        self.assertClean(report)

    def test_without_a_context_it_says_so(self):
        lines, _ = self.run_code("""
import ctypes, sys, vas_frames as vas
camera = vas.open("gate", dir=sys.argv[1], timeout=60)
print(camera.register_cuda().why)
assert ctypes.CDLL("libcuda.so.1").cuInit(0) == 0
print(camera.register_cuda())
""")
        self.assertIn("no CUDA context is current", lines[0])
        self.assertRegex(lines[1], "^<vas.Registration of gate, epoch .*, pageable: no CUDA context")

    def test_without_a_driver_it_says_so(self):
        program = run_python(
            "import sys, vas_frames as vas\nprint(vas.open('gate', dir=sys.argv[1], timeout=60).register_cuda().why)\n",
            self.service.dir)
        out, _ = program.communicate(timeout=PATIENCE)
        # With a driver, there is no context.
        self.assertRegex(out, "there is no CUDA driver|no CUDA context is current")


if __name__ == "__main__":
    unittest.main()
