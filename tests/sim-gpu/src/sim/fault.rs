//! Faults at the n-th call of a function, and the loss of a device.
//!
//! `FUNCTION:N:WHAT`, separated by `;`. `N` counts from when the fault is added; `N+` is that call and all
//! after it. `FUNCTION` may be `*`, any call. `WHAT` is
//!
//! - `CUDA_ERROR_...`: the call does nothing and returns this;
//! - `async=CUDA_ERROR_...`: the call succeeds, its work fails on the stream and makes the context fail;
//! - `slow=US`: the call's work takes this many microseconds longer, or the call itself if it queues none.
//!
//! `@D` at the end counts calls of device D only. `device_lost:D@call N`, perhaps `:CUDA_ERROR_...`, loses
//! the device at the N-th call that reaches it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::lock;
use super::status::Status;

/// What a fault does to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Fail(Status),
    FailLater(Status),
    SlowBy(u64),
    LoseDevice(Status),
}

#[derive(Debug, PartialEq)]
struct Fault {
    /// None: any call.
    function: Option<String>,
    device: Option<usize>,
    at: u64,
    and_after: bool,
    effect: Effect,
    seen: u64,
}

static FAULTS: Mutex<Vec<Fault>> = Mutex::new(Vec::new());
/// The number of pending faults, so that a call without any is quick.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Adds the faults of a specification.
///
/// # Errors
/// A description; then nothing was added.
pub(crate) fn add(specification: &str) -> Result<(), String> {
    let parts = specification.split(';').map(str::trim).filter(|part| !part.is_empty());
    let parsed = parts.map(|part| parse(part).ok_or_else(|| format!("not a fault: {part}")));
    let parsed = parsed.collect::<Result<Vec<_>, _>>()?;
    let mut faults = lock(&FAULTS);
    faults.extend(parsed);
    WAITING.store(faults.len(), Ordering::Relaxed);
    Ok(())
}

/// Forgets all faults.
pub(crate) fn clear() {
    lock(&FAULTS).clear();
    WAITING.store(0, Ordering::Relaxed);
}

/// Counts this call and returns its faults.
pub(crate) fn at_call(function: &str, device: Option<usize>) -> Vec<Effect> {
    if WAITING.load(Ordering::Relaxed) == 0 {
        return Vec::new();
    }
    let mut faults = lock(&FAULTS);
    faults.iter_mut().filter_map(|fault| fault.at_call(function, device)).collect()
}

impl Fault {
    fn at_call(&mut self, function: &str, device: Option<usize>) -> Option<Effect> {
        let meant = self.function.as_deref().is_none_or(|f| f == function);
        if !meant || (self.device.is_some() && self.device != device) {
            return None;
        }
        self.seen += 1;
        (self.seen == self.at || self.and_after && self.seen > self.at).then_some(self.effect)
    }
}

fn parse(text: &str) -> Option<Fault> {
    if let Some(lost) = text.strip_prefix("device_lost:") {
        return parse_lost(lost);
    }
    let (text, device) = match text.split_once('@') {
        Some((text, device)) => (text, Some(device.trim().parse().ok()?)),
        None => (text, None),
    };
    let mut fields = text.splitn(3, ':').map(str::trim);
    let (function, at, what) = (fields.next()?, fields.next()?, fields.next()?);
    let (at, and_after) = parse_call(at)?;
    let effect = match what.split_once('=') {
        Some(("slow", us)) => Effect::SlowBy(us.parse().ok()?),
        Some(("async", name)) => Effect::FailLater(Status::from_name(name)?),
        Some(_) => return None,
        None => Effect::Fail(Status::from_name(what)?),
    };
    let function = (function != "*").then(|| function.to_owned());
    Some(Fault { function, device, at, and_after, effect, seen: 0 })
}

fn parse_lost(text: &str) -> Option<Fault> {
    let (device, rest) = text.split_once("@call")?;
    let (at, status) = match rest.split_once(':') {
        Some((at, name)) => (at, Status::from_name(name.trim())?),
        None => (rest, Status::UNKNOWN),
    };
    let (at, and_after) = parse_call(at.trim())?;
    let device = Some(device.trim().parse().ok()?);
    let effect = Effect::LoseDevice(status);
    Some(Fault { function: None, device, at, and_after, effect, seen: 0 })
}

fn parse_call(text: &str) -> Option<(u64, bool)> {
    let (number, and_after) = match text.strip_suffix('+') {
        Some(number) => (number, true),
        None => (text, false),
    };
    number.parse().ok().filter(|at| *at > 0).map(|at| (at, and_after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(text: &str, calls: &[(&str, usize)]) -> Vec<Option<Effect>> {
        let mut fault = parse(text).unwrap();
        calls.iter().map(|(function, device)| fault.at_call(function, Some(*device))).collect()
    }

    #[test]
    fn a_fault_happens_once_at_its_call() {
        let fail = Some(Effect::Fail(Status::LAUNCH_FAILED));
        let seen = calls("a:2:CUDA_ERROR_LAUNCH_FAILED", &[("a", 0), ("b", 0), ("a", 1), ("a", 0)]);
        assert_eq!(seen, [None, None, fail, None]);
    }

    #[test]
    fn a_plus_goes_on() {
        let slow = Some(Effect::SlowBy(20));
        assert_eq!(calls("*:2+:slow=20", &[("a", 0), ("b", 0), ("c", 0)]), [None, slow, slow]);
    }

    #[test]
    fn a_device_is_counted_alone() {
        let lost = Some(Effect::LoseDevice(Status::UNKNOWN));
        let seen = calls("device_lost:1@call 2", &[("a", 1), ("b", 0), ("c", 1)]);
        assert_eq!(seen, [None, None, lost]);
        let late = Some(Effect::FailLater(Status::ILLEGAL_ADDRESS));
        let seen = calls("a:1:async=CUDA_ERROR_ILLEGAL_ADDRESS@1", &[("a", 0), ("a", 1)]);
        assert_eq!(seen, [None, late]);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in
            ["a", "a:1", "a:0:slow=1", "a:x:slow=1", "a:1:slow", "a:1:CUDA_ERROR_", "a:1:fast=1"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
