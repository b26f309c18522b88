//! Batches.

use std::sync::atomic::{AtomicUsize, Ordering};
use vas_tensor::{ColorSpace, Job, Matrix, Nv12, Output, PassError, Plan, Pool, Request, Scratch};

const SPACE: ColorSpace = ColorSpace { matrix: Matrix::Bt709, full_range: false };

/// Pictures of which each has its own gray.
struct Pictures {
    planes: Vec<[Vec<u8>; 2]>,
    plan: Plan,
}

impl Pictures {
    fn new(count: u8) -> Self {
        let plan = Plan::new((64, 36), SPACE, &Request::new(32, 32)).unwrap();
        let planes = (0..count).map(|gray| [vec![gray; 64 * 36], vec![128; 64 * 18]]).collect();
        Self { planes, plan }
    }

    fn source(&self, at: usize) -> Nv12<'_> {
        let [luma, chroma] = &self.planes[at];
        Nv12::new((64, 36), (luma, 64), (chroma, 64)).unwrap()
    }

    fn jobs<'a>(&'a self, tensors: &'a mut [f32]) -> Vec<Job<'a>> {
        let tensors = tensors.chunks_exact_mut(self.plan.elements()).enumerate();
        tensors
            .map(|(at, to)| Job::new(self.source(at).into(), &self.plan, Output::F32(to)))
            .collect()
    }

    fn expected(&self) -> Vec<f32> {
        let mut all = vec![f32::NAN; self.planes.len() * self.plan.elements()];
        for (at, to) in all.chunks_exact_mut(self.plan.elements()).enumerate() {
            let mut scratch = Scratch::default();
            self.plan.run(self.source(at).into(), &mut Output::F32(to), &mut scratch).unwrap();
        }
        all
    }
}

/// Hundreds of batches in a row, of more and of fewer jobs than threads.
#[test]
fn each_job_is_done_once_whatever_the_threads() {
    for threads in [1, 2, 3, 8] {
        let mut pool = Pool::new(threads.try_into().unwrap()).unwrap();
        assert_eq!(pool.threads(), threads);
        for count in (0..200).map(|round| [0, 1, 2, 5, 40][round % 5]) {
            let pictures = Pictures::new(count);
            let mut tensors = vec![f32::NAN; usize::from(count) * pictures.plan.elements()];
            let mut jobs = pictures.jobs(&mut tensors);
            pool.run(&mut jobs);
            assert!(jobs.iter().all(|job| job.result().is_ok()));
            drop(jobs);
            assert!(tensors == pictures.expected(), "{threads} threads, {count} jobs");
        }
    }
}

#[test]
fn a_job_that_fails_leaves_the_others() {
    let pictures = Pictures::new(9);
    let mut pool = Pool::new(2.try_into().unwrap()).unwrap();
    let mut tensors = vec![f32::NAN; 9 * pictures.plan.elements()];
    let mut short = [0.0; 3];
    let mut jobs = pictures.jobs(&mut tensors);
    jobs[4] = Job::new(pictures.source(4).into(), &pictures.plan, Output::F32(&mut short));
    pool.run(&mut jobs);
    for (at, job) in jobs.iter().enumerate() {
        let refused = matches!(job.result(), Err(PassError::Output { found: 3, .. }));
        assert!(if at == 4 { refused } else { job.result().is_ok() }, "{at}: {:?}", job.result());
    }
    // The pool goes on.
    pool.run(&mut jobs[..4]);
    assert!(jobs[..4].iter().all(|job| job.result().is_ok()));
}

/// Pools of several threads are independent.
#[test]
fn pools_run_beside_each_other() {
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut pool = Pool::new(3.try_into().unwrap()).unwrap();
                let pictures = Pictures::new(12);
                let mut tensors = vec![f32::NAN; 12 * pictures.plan.elements()];
                for _ in 0..20 {
                    tensors.fill(f32::NAN);
                    pool.run(&mut pictures.jobs(&mut tensors));
                    assert!(tensors == pictures.expected());
                }
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    assert_eq!(done.into_inner(), 4);
}
