//! A camera's export in the status.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use vas_frame::Demanded;
use vas_pipeline::Exported;
use vas_status::{
    AgeWindow, Ages, DemandReport, DownloadEngine, DownloadReport, ExportReport, ExportState,
    PolledReason, SharedExport,
};

/// State and ages of one export: written by the ring manager and the publishing threads, read by
/// the status.
#[derive(Debug, Default)]
pub(crate) struct ExportStats {
    inner: Mutex<ExportSnapshot>,
    /// How old frames were when they were published.
    ages: Ages,
    /// Whether `inner` may have changed since the last report.
    changed: AtomicBool,
    /// Only the status takes this lock.
    reported: Mutex<Reported>,
    /// The longest time from decode to publication since it was last read.
    longest_ns: AtomicU64,
}

/// What earlier reports leave for the next one.
#[derive(Debug, Default)]
struct Reported {
    /// Earlier ages, to compute those of the last minute.
    window: AgeWindow,
    /// The last report, and the sum of ages then.
    last: Option<(u64, SharedExport)>,
}

/// What the ring manager reports, as of one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExportSnapshot {
    pub(crate) state: ExportState,
    pub(crate) detail: String,
    pub(crate) slots: u32,
    pub(crate) ring_bytes: u64,
    pub(crate) huge_bytes: u64,
    pub(crate) lease_ms: u64,
    pub(crate) retired_bytes: u64,
    /// Why readers are polled for.
    pub(crate) polled: Option<PolledReason>,
    /// What readers request.
    pub(crate) demanded: Demanded,
    pub(crate) download: DownloadStats,
}

/// How frames get into the ring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DownloadStats {
    pub(crate) engine: DownloadEngine,
    /// Why there is no engine, or why frames are copied once more than needed.
    pub(crate) why: Option<String>,
}

impl DownloadStats {
    /// Whether a GPU writes into the ring directly, which needs pinned memory.
    fn pins_ring(&self) -> bool {
        self.engine == DownloadEngine::Cuda && self.why.is_none()
    }
}

impl ExportStats {
    /// Records a publication: the frame's age, and the time since it was decoded.
    pub(crate) fn published(&self, age_ns: u64, download_ns: u64) {
        self.ages.record(age_ns);
        self.longest_ns.fetch_max(download_ns, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> ExportSnapshot {
        self.lock().clone()
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut ExportSnapshot)) {
        change(&mut self.lock());
        self.changed.store(true, Ordering::Release);
    }

    fn new_report(
        &self,
        window: &mut AgeWindow,
        longest_ns: Option<u64>,
        now: Instant,
    ) -> ExportReport {
        let export = self.get();
        ExportReport {
            state: export.state,
            detail: export.detail,
            slots: export.slots,
            ring_bytes: export.ring_bytes,
            huge_bytes: export.huge_bytes,
            lease_ms: export.lease_ms,
            retired_bytes: export.retired_bytes,
            pinned_bytes: export.download.pins_ring().then_some(export.ring_bytes),
            readers: export.demanded != Demanded::Nothing,
            polled: export.polled,
            demand: demand(&export.demanded),
            age: window.report(&self.ages, now),
            download: Some(DownloadReport {
                engine: export.download.engine,
                longest_ms: longest_ns.map(|ns| ns as f64 / 1e6),
                why: export.download.why,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, ExportSnapshot> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exported for ExportStats {
    fn report(&self, now: Instant) -> SharedExport {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let longest_ns = Some(self.longest_ns.swap(0, Ordering::Relaxed)).filter(|ns| *ns > 0);
        // Both before what they speak for: a change meanwhile makes the next report a new one.
        let sum_ns = self.ages.sum_ns();
        let changed = self.changed.swap(false, Ordering::Acquire) || longest_ns.is_some();
        if let Some((last_sum_ns, last)) = &reported.last {
            let was_quiet = last.age.p50_ms.is_none()
                && last.download.as_ref().is_none_or(|download| download.longest_ms.is_none());
            if !changed && was_quiet && *last_sum_ns == sum_ns {
                return last.clone();
            }
        }
        let report = SharedExport::from(self.new_report(&mut reported.window, longest_ns, now));
        reported.last = Some((sum_ns, report.clone()));
        report
    }

    fn refuse(&self, words: &str) -> bool {
        let mut inner = self.lock();
        let news = inner.state != ExportState::Refused || inner.detail != words;
        inner.state = ExportState::Refused;
        words.clone_into(&mut inner.detail);
        (inner.slots, inner.ring_bytes, inner.huge_bytes) = (0, 0, 0);
        self.changed.store(true, Ordering::Release);
        news
    }

    fn no_longer_refuse(&self) {
        let mut inner = self.lock();
        if inner.state == ExportState::Refused {
            inner.state = ExportState::Opening;
            inner.detail.clear();
            self.changed.store(true, Ordering::Release);
        }
    }
}

fn demand(demanded: &Demanded) -> DemandReport {
    let max_fps = match demanded {
        Demanded::Nothing | Demanded::EveryFrame => Vec::new(),
        Demanded::Rates(rates) => {
            rates.iter().map(|rate| f64::from(rate.millihertz()) / 1000.0).collect()
        }
    };
    DemandReport { every_frame: *demanded == Demanded::EveryFrame, max_fps }
}
