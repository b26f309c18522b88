//! The memory of one GPU: what this process's decoders take of it, and whether another one fits.
//!
//! The driver knows what is free, whoever took the rest. It does not know of a decoder that is about to allocate: its
//! need is counted here from the check until FFmpeg has created it, so that two decoders are never admitted to the
//! same bytes. Other processes' decoders that are about to allocate are not seen.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use vas_surfaces::{DEVICE_RESERVE, SurfaceMemory};

use super::{GpuError, GpuMemory};

/// The longest wait for decoders that are being created, where one more fits beside them only once the driver counts
/// them.
const SETTLES_WITHIN: Duration = Duration::from_secs(1);

/// What this process's decoders take of a GPU's memory, and what was free at the last look.
#[derive(Debug, Default)]
pub struct GpuLedger {
    /// Locked while the driver is asked.
    state: Mutex<State>,
    settled: Condvar,
    /// For reports, which must not wait for a driver.
    published: Mutex<GpuUsage>,
}

#[derive(Debug, Default)]
struct State {
    usage: GpuUsage,
    /// Of the surfaces, those that may not be allocated yet, padded.
    opening_bytes: u64,
}

/// The state of a [`GpuLedger`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GpuUsage {
    /// The GPU's memory.
    pub total_bytes: u64,
    /// What was free when a decoder was last admitted or refused.
    pub free_bytes: u64,
    /// What the surfaces of this process's decoders take, padded.
    pub surfaces_bytes: u64,
    /// The decoders that have them.
    pub decoders: u32,
}

/// How a check counts decoders that are being created, of which the driver may or may not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// As if the driver knew all of them. Admission, which follows, may have to wait, and may still refuse.
    OnceSettled,
    /// As if it knew none: for what can be tried again later.
    Now,
}

/// The memory that a decoder was admitted to, as long as this lives.
#[derive(Debug)]
pub(crate) struct Grant {
    ledger: Arc<GpuLedger>,
    bytes: u64,
    opening: bool,
}

impl GpuLedger {
    /// The state as of the last look. Makes no driver call.
    pub fn usage(&self) -> GpuUsage {
        *self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, state: &State) {
        *self.published.lock().unwrap_or_else(PoisonError::into_inner) = state.usage;
    }

    /// Whether a decoder fits, with bytes for a converted picture. Waits for no other decoder; `look` asks the driver.
    ///
    /// # Errors
    /// [`GpuError::NoMemory`], or that of `look`.
    pub(crate) fn check(
        &self,
        ordinal: usize,
        (need, converted): (SurfaceMemory, u64),
        room: Room,
        look: impl Fn() -> Result<GpuMemory, GpuError>,
    ) -> Result<(), GpuError> {
        let mut state = self.lock();
        self.look(&mut state, look)?;
        let opening = if room == Room::Now { state.opening_bytes } else { 0 };
        if needed(need, converted) + opening <= state.usage.free_bytes {
            return Ok(());
        }
        Err(state.refusal(ordinal, need, converted))
    }

    /// Admits a decoder, which is about to be created, beside those that are being created.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub(crate) fn admit(
        self: &Arc<Self>,
        ordinal: usize,
        (need, converted): (SurfaceMemory, u64),
        look: impl Fn() -> Result<GpuMemory, GpuError>,
    ) -> Result<Grant, GpuError> {
        let mut state = self.fits(ordinal, (need, converted), look)?;
        let bytes = need.padded();
        state.opening_bytes += bytes;
        state.usage.surfaces_bytes += bytes;
        state.usage.decoders += 1;
        self.publish(&state);
        Ok(Grant { ledger: Arc::clone(self), bytes, opening: true })
    }

    /// The locked state, in which the decoder fits.
    fn fits(
        &self,
        ordinal: usize,
        (need, converted): (SurfaceMemory, u64),
        look: impl Fn() -> Result<GpuMemory, GpuError>,
    ) -> Result<MutexGuard<'_, State>, GpuError> {
        let until = Instant::now() + SETTLES_WITHIN;
        let mut state = self.lock();
        loop {
            self.look(&mut state, &look)?;
            let (needed, left) = (needed(need, converted), state.usage.free_bytes);
            if needed + state.opening_bytes <= left {
                return Ok(state);
            }
            let patience = until.saturating_duration_since(Instant::now());
            if needed > left || state.opening_bytes == 0 || patience.is_zero() {
                return Err(state.refusal(ordinal, need, converted));
            }
            let woken = self.settled.wait_timeout(state, patience);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Asks the driver, under the lock: what is created meanwhile is not counted twice.
    fn look(
        &self,
        state: &mut State,
        look: impl Fn() -> Result<GpuMemory, GpuError>,
    ) -> Result<(), GpuError> {
        let GpuMemory { free, total } = look()?;
        (state.usage.free_bytes, state.usage.total_bytes) = (free as u64, total as u64);
        self.publish(state);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What must be free for a decoder.
fn needed(need: SurfaceMemory, converted: u64) -> u64 {
    need.padded() + converted + DEVICE_RESERVE
}

impl State {
    fn refusal(&self, ordinal: usize, need: SurfaceMemory, converted: u64) -> GpuError {
        let GpuUsage { free_bytes, total_bytes, .. } = self.usage;
        let (free, total) = (free_bytes as usize, total_bytes as usize);
        GpuError::NoMemory { ordinal, free, total, cause: self.words(need, converted) }
    }

    /// What is needed, and what has the rest.
    fn words(&self, need: SurfaceMemory, converted: u64) -> String {
        let GpuUsage { total_bytes, free_bytes, surfaces_bytes, decoders } = self.usage;
        let SurfaceMemory { surfaces, size: (width, height), .. } = need;
        let allocated = surfaces_bytes.saturating_sub(self.opening_bytes);
        let others = total_bytes.saturating_sub(free_bytes).saturating_sub(allocated);
        let of = if decoders == 1 { "decoder takes" } else { "decoders take" };
        let opening = match self.opening_bytes {
            0 => String::new(),
            bytes => format!(", {} of them not allocated yet", mib(bytes)),
        };
        let converted = match converted {
            0 => String::new(),
            bytes => format!(", {} for a converted picture", mib(bytes)),
        };
        format!(
            "the decoder needs 2 x {surfaces} surfaces of {width}x{height}, {}{converted}, and {} must stay free; this process's \
             {decoders} {of} {}{opening}, and contexts and other processes {}",
            mib(need.padded()),
            mib(DEVICE_RESERVE),
            mib(surfaces_bytes),
            mib(others),
        )
    }
}

impl Grant {
    /// The decoder has allocated its surfaces, or never will: the driver's answer counts from now on.
    pub(crate) fn settle(&mut self) {
        if std::mem::take(&mut self.opening) {
            self.ledger.lock().opening_bytes -= self.bytes;
            self.ledger.settled.notify_all();
        }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.settle();
        let mut state = self.ledger.lock();
        state.usage.surfaces_bytes -= self.bytes;
        state.usage.decoders -= 1;
        self.ledger.publish(&state);
    }
}

/// Rounded up.
fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::sync::mpsc;

    const MIB: usize = 1 << 20;

    /// 12 MiB with padding: 2 x 8 surfaces of 1024x512.
    const NEED: SurfaceMemory =
        SurfaceMemory { surfaces: 8, of_each: 2, size: (1024, 512), bytes: 12 << 20 };

    fn memory(free_mib: usize) -> Result<GpuMemory, GpuError> {
        Ok(GpuMemory { free: free_mib * MIB, total: 2048 * MIB })
    }

    #[test]
    fn a_decoder_is_admitted_while_it_and_the_reserve_fit() {
        let ledger = Arc::new(GpuLedger::default());
        assert!(ledger.check(0, (NEED, 0), Room::Now, || memory(44)).is_ok());
        let mut first = ledger.admit(0, (NEED, 0), || memory(44)).unwrap();
        assert_eq!(ledger.usage().surfaces_bytes, 12 << 20);
        first.settle();
        let refused = ledger.admit(0, (NEED, 0), || memory(43)).unwrap_err().to_string();
        let expected = "GPU 0 has too little memory left: 43 of 2048 MiB are free (the decoder needs 2 x 8 surfaces of \
                        1024x512, 12 MiB, and 32 MiB must stay free; this process's 1 decoder takes 12 MiB, and \
                        contexts and other processes 1993 MiB)";
        assert_eq!(refused, expected);
        let converting = ledger
            .check(0, (NEED, 5 << 20), Room::OnceSettled, || memory(48))
            .unwrap_err()
            .to_string();
        assert!(converting.contains("12 MiB, 5 MiB for a converted picture, and"), "{converting}");
        assert_eq!(ledger.check(0, (NEED, 5 << 20), Room::Now, || memory(49)), Ok(()));
        drop(first);
        let usage =
            GpuUsage { total_bytes: 2048 << 20, free_bytes: 49 << 20, ..Default::default() };
        assert_eq!(ledger.usage(), usage);
    }

    #[test]
    fn two_decoders_are_not_admitted_to_the_same_bytes() {
        let ledger = Arc::new(GpuLedger::default());
        let mut first = ledger.admit(0, (NEED, 0), || memory(50)).unwrap();
        let (looked, looks) = mpsc::channel();
        let (other, free) = (Arc::clone(&ledger), Arc::new(Mutex::new(50)));
        let of_thread = Arc::clone(&free);
        let second = std::thread::spawn(move || {
            let look = || {
                looked.send(()).unwrap();
                memory(*of_thread.lock().unwrap())
            };
            other.admit(0, (NEED, 0), look).map(|_| ())
        });
        looks.recv().unwrap();
        // The first decoder exists: the driver counts its memory, and the second no longer fits.
        *free.lock().unwrap() = 38;
        first.settle();
        let words = second.join().unwrap().unwrap_err().to_string();
        assert!(words.contains("38 of 2048 MiB are free"), "{words}");
    }

    #[test]
    fn a_check_does_not_wait_for_decoders_that_are_being_created() {
        let ledger = Arc::new(GpuLedger::default());
        let _opening = ledger.admit(0, (NEED, 0), || memory(50)).unwrap();
        let asked = Cell::new(0);
        let look = || {
            asked.set(asked.get() + 1);
            memory(50)
        };
        // Whether the driver counts the first one already is not known: admission finds out.
        assert_eq!(ledger.check(0, (NEED, 0), Room::OnceSettled, look), Ok(()));
        let refused = ledger.check(0, (NEED, 0), Room::Now, look).unwrap_err().to_string();
        assert!(refused.contains("12 MiB, 12 MiB of them not allocated yet"), "{refused}");
        assert!(ledger.check(0, (NEED, 7 << 20), Room::OnceSettled, look).is_err());
        assert_eq!(asked.get(), 3);
    }

    #[test]
    fn a_driver_that_does_not_answer_is_reported() {
        let lost = || GpuError::DeviceLost { ordinal: 0, cause: "x".into() };
        let asked = Cell::new(0);
        let ledger = GpuLedger::default();
        let look = || {
            asked.set(asked.get() + 1);
            Err(lost())
        };
        assert_eq!(ledger.check(0, (NEED, 0), Room::Now, look), Err(lost()));
        assert_eq!(asked.get(), 1);
    }
}
