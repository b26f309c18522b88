//! The result of loading a GPU's kernels, which takes the driver a while: kept, unless memory was short.

use std::time::{Duration, Instant};

use vas_cuda::{NoKernels, code};

/// How long the driver is left alone after it had no memory for the kernels, however many cameras need them.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// What loading gave.
#[derive(Debug)]
pub(super) struct Loading<T> {
    result: Option<Result<T, NoKernels>>,
    /// When memory was last short.
    short_at: Option<Instant>,
}

impl<T> Default for Loading<T> {
    fn default() -> Self {
        Self { result: None, short_at: None }
    }
}

impl<T: Clone> Loading<T> {
    /// What is known, or else what loading gives now.
    pub(super) fn get(
        &mut self,
        now: Instant,
        load: impl FnOnce() -> Result<T, NoKernels>,
    ) -> Result<T, NoKernels> {
        let is_over = |at: Instant| now.saturating_duration_since(at) >= AGAIN_AFTER;
        if self.short_at.is_some_and(is_over) {
            (self.result, self.short_at) = (None, None);
        }
        let result = self.result.get_or_insert_with(load).clone();
        if matches!(&result, Err(NoKernels::Cuda(error)) if error.code == code::OUT_OF_MEMORY) {
            self.short_at.get_or_insert(now);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vas_cuda::CudaError;

    fn refused<T>(code: u32) -> Result<T, NoKernels> {
        Err(CudaError { function: "cuModuleLoadData", code, name: None }.into())
    }

    #[test]
    fn a_driver_without_memory_is_asked_again_after_a_while_and_once_for_all() {
        let (mut loading, start) = (Loading::default(), Instant::now());
        assert_eq!(loading.get(start, || refused(code::OUT_OF_MEMORY)), refused::<u8>(2));
        let early = start + AGAIN_AFTER - Duration::from_nanos(1);
        let known = loading.get(early, || unreachable!("the driver was asked at once"));
        assert_eq!(known, refused(2));
        let later = start + AGAIN_AFTER;
        assert_eq!(loading.get(later, || refused(code::OUT_OF_MEMORY)), refused(2));
        assert_eq!(loading.get(later, || unreachable!("once for all")), refused(2));
        assert_eq!(loading.get(later + AGAIN_AFTER, || Ok(7)), Ok(7));
        assert_eq!(loading.get(later + 9 * AGAIN_AFTER, || unreachable!("loaded")), Ok(7));
    }

    #[test]
    fn kernels_that_the_driver_refuses_stay_refused() {
        let (mut loading, start) = (Loading::<u8>::default(), Instant::now());
        assert_eq!(loading.get(start, || refused(218)), refused(218));
        assert_eq!(loading.get(start + 9 * AGAIN_AFTER, || unreachable!()), refused(218));
    }
}
