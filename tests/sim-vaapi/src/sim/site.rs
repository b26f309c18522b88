//! The entry of every function: counts, checks, injects faults, logs.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::fault::{Effect, FAULTS};
use super::node::Node;
use super::status::{Result, Status};
use super::{control, exit, lock, log, thread, wait};
use crate::driver::display::{self, Display};
use crate::libva::abi::DriverContext;

static SITES: Mutex<Vec<&'static Site>> = Mutex::new(Vec::new());

/// One function.
pub(crate) struct Site {
    name: &'static str,
    calls: AtomicU64,
}

/// One call of it.
pub(crate) struct Call<'a> {
    pub(crate) display: &'a Display,
    /// For the log: the bytes that the call submits, allocates or copies.
    pub(crate) bytes: u64,
}

impl Site {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, calls: AtomicU64::new(0) }
    }

    /// Executes a call on a display, unless a fault prevents it.
    pub(crate) fn run(
        &'static self,
        context: *mut DriverContext,
        body: impl FnOnce(&mut Call<'_>) -> Result,
    ) -> Status {
        let display = display::of(context);
        let node = display.as_ref().map(|display| &*display.node);
        self.run_on(node, |bytes| {
            let display = display.as_ref().ok_or(Status::INVALID_DISPLAY)?;
            let mut call = Call { display, bytes: 0 };
            let result = body(&mut call);
            *bytes = call.bytes;
            result
        })
    }

    /// Executes a call that belongs to a node, perhaps, and to no display yet.
    pub(crate) fn run_on(
        &'static self,
        node: Option<&Node>,
        body: impl FnOnce(&mut u64) -> Result,
    ) -> Status {
        exit::report_start();
        if self.calls.fetch_add(1, Ordering::Relaxed) == 0 {
            lock(&SITES).push(self);
        }
        control::poll();
        thread::check(self.name);
        let mut bytes = 0;
        let result = match (self.faults(node), self.releases()) {
            (Ok(()), _) => body(&mut bytes),
            // An object whose release fails is gone all the same: nobody could release it again.
            (Err(status), true) => body(&mut bytes).and(Err(status)),
            (Err(status), false) => Err(status),
        };
        let status = result.err().unwrap_or(Status::SUCCESS);
        log::write(self.name, node.map(|node| node.name.as_str()), bytes, status);
        status
    }

    fn faults(&self, node: Option<&Node>) -> Result {
        let mut outcome = Ok(());
        for effect in FAULTS.at_call(self.name, node.map(|node| &node.name)) {
            match effect {
                Effect::Fail(status) => outcome = Err(status),
                Effect::Hang => wait::until_released(self.name),
                Effect::SlowBy(us) => {
                    let time = wait::jittered(us, node.map_or("", |node| &node.name));
                    match node {
                        Some(node) => wait::pause(node, time)?,
                        None => std::thread::sleep(time),
                    }
                }
                Effect::LoseNode(status) => {
                    if let Some(node) = node {
                        node.lose(status);
                    }
                }
            }
        }
        outcome.and_then(|()| node.map_or(Ok(()), Node::health))
    }

    fn releases(&self) -> bool {
        ["vaDestroy", "vaUnmap", "vaTerminate"].iter().any(|start| self.name.starts_with(start))
    }
}

/// How often a function was called; `*` is all functions.
pub(crate) fn count(name: &str) -> u64 {
    let sites = lock(&SITES);
    let meant = sites.iter().filter(|site| name == "*" || site.name == name);
    meant.map(|site| site.calls.load(Ordering::Relaxed)).sum()
}

/// Defines the driver's functions; each body gets the [`Call`] and returns a [`Result`].
macro_rules! calls {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) |$call:ident| $body:block)*) => {$(
        $(#[$doc])*
        #[allow(non_snake_case, reason = "libva's own names")]
        pub(crate) extern "C" fn $name(
            context: *mut $crate::libva::abi::DriverContext,
            $($arg: $ty),*
        ) -> $crate::sim::status::Status {
            static SITE: $crate::sim::site::Site = $crate::sim::site::Site::new(stringify!($name));
            SITE.run(context, |$call| $body)
        }
    )*};
}
pub(crate) use calls;
