//! The entry of every exported function: counts, checks, injects faults, logs.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::fault::{Effect, FAULTS};
use super::status::{Result, Status};
use super::{control, delay, lock, log, misuse, thread};
use crate::driver::context::{self, Context};
use crate::driver::device::{self, Device};

static SITES: Mutex<Vec<&'static Site>> = Mutex::new(Vec::new());
static INITIALIZED: AtomicBool = AtomicBool::new(false);

/// One exported function.
pub(crate) struct Site {
    name: &'static str,
    calls: AtomicU64,
}

/// One call of it.
pub(crate) struct Call {
    /// For the log: the number of the stream that the work goes to.
    pub(crate) stream: u64,
    /// For the log: the bytes that the call moves.
    pub(crate) bytes: u64,
    device: Option<usize>,
    troubles: Troubles,
}

/// The effects of faults on work when it runs.
#[derive(Clone, Copy, Default)]
pub(crate) struct Troubles {
    pub(crate) slow_us: u64,
    pub(crate) fails: Option<Status>,
}

impl Troubles {
    /// Waits for the work's time and the faults' delay.
    ///
    /// # Errors
    /// The work must not be done: a fault, or the device was lost meanwhile.
    pub(crate) fn befall(self, device: &Device, time: Duration) -> Result {
        device.pause(time + delay::jittered(self.slow_us));
        device.health()?;
        self.fails.map_or(Ok(()), Err)
    }
}

impl Call {
    /// The faults' effects on the call's work, to be moved into the work.
    pub(crate) fn take_troubles(&mut self) -> Troubles {
        std::mem::take(&mut self.troubles)
    }

    /// A call that queued no work waits itself, and can't fail later.
    fn befall(&mut self, function: &str) {
        let Troubles { slow_us, fails } = self.take_troubles();
        match self.device.and_then(|ordinal| device::all().get(ordinal)) {
            Some(device) => device.pause(delay::jittered(slow_us)),
            None => std::thread::sleep(delay::jittered(slow_us)),
        }
        // A test whose fault cannot happen must not pass without it.
        assert!(fails.is_none(), "a fault of {function}: it queues no work that could fail later");
    }
}

impl Site {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, calls: AtomicU64::new(0) }
    }

    /// Executes the call, unless a fault or a misuse prevents it.
    pub(crate) fn run(&'static self, body: impl FnOnce(&mut Call) -> Result) -> Status {
        if self.calls.fetch_add(1, Ordering::Relaxed) == 0 {
            lock(&SITES).push(self);
        }
        control::poll();
        let device = context::current().ok().map(|context| context.device.ordinal);
        let mut call = Call { stream: 0, bytes: 0, device, troubles: Troubles::default() };
        let result = self.checked(&mut call).and_then(|()| body(&mut call));
        if result.is_ok() {
            call.befall(self.name);
        }
        let status = result.err().unwrap_or(Status::SUCCESS);
        let Call { stream, bytes, .. } = call;
        log::write(&log::Line { function: self.name, device, stream, bytes, status });
        status
    }

    fn checked(&self, call: &mut Call) -> Result {
        thread::check(self.name)?;
        if !INITIALIZED.load(Ordering::Relaxed) && !self.needs_no_init() {
            return Err(Status::NOT_INITIALIZED);
        }
        let mut outcome = Ok(());
        for effect in FAULTS.at_call(self.name, call.device.as_ref()) {
            match effect {
                Effect::Fail(status) => outcome = Err(status),
                Effect::FailLater(status) => call.troubles.fails = Some(status),
                Effect::SlowBy(us) => call.troubles.slow_us += us,
                Effect::LoseDevice(status) => {
                    if let Some(device) = call.device.and_then(|ordinal| device::all().get(ordinal))
                    {
                        misuse::remark(format_args!("device {} is lost", device.ordinal));
                        device.lose(status);
                    }
                }
            }
        }
        outcome
    }

    fn needs_no_init(&self) -> bool {
        matches!(self.name, "cuInit" | "cuDriverGetVersion" | "cuGetErrorName" | "cuGetErrorString")
    }
}

/// Records that `cuInit` was called, after which other calls work.
pub(crate) fn initialized() {
    INITIALIZED.store(true, Ordering::Relaxed);
}

/// How often a function was called; `*` is all functions.
pub(crate) fn calls(name: &str) -> u64 {
    let sites = lock(&SITES);
    let meant = sites.iter().filter(|site| name == "*" || site.name == name);
    meant.map(|site| site.calls.load(Ordering::Relaxed)).sum()
}

/// The thread's current context, in working order.
///
/// # Errors
/// `CUDA_ERROR_INVALID_CONTEXT` without one, and the context's own error once it has one.
pub(crate) fn working_context() -> Result<std::sync::Arc<Context>> {
    let context = context::current()?;
    context.health()?;
    Ok(context)
}

/// Defines exported driver functions; each body gets the [`Call`] and returns a [`Result`].
macro_rules! export {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) |$call:ident| $body:block)*) => {$(
        $(#[$doc])*
        #[unsafe(no_mangle)]
        #[allow(non_snake_case, reason = "the driver's own names")]
        extern "C" fn $name($($arg: $ty),*) -> $crate::sim::status::Status {
            static SITE: $crate::sim::site::Site = $crate::sim::site::Site::new(stringify!($name));
            SITE.run(|$call| $body)
        }
    )*};
}
pub(crate) use export;
