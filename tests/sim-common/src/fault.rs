//! Faults at the n-th call of a function, and the loss of a device.
//!
//! `FUNCTION:N:WHAT`, separated by `;`. `N` counts from when the fault is added; `N+` is that call and all
//! after it. `FUNCTION` may be `*`, any call. `WHAT` is the device's own. `@D` at the end counts calls of
//! device D only. `LOST:D@call N`, perhaps `:STATUS`, loses the device at the N-th call that reaches it;
//! each device has its own word for `LOST`.

use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::lock;

/// What a kind of device brings to the grammar.
pub trait Effect: Copy + Sized {
    /// What identifies a device: a number or a name.
    type Device: std::fmt::Debug + FromStr + PartialEq;
    /// The word for the loss of a device.
    const LOST: &'static str;

    /// Parses `WHAT`.
    fn parse(what: &str) -> Option<Self>;

    /// The loss of a device, with the status that its calls then return, if one was named.
    fn lost(status: Option<&str>) -> Option<Self>;
}

#[derive(Debug, PartialEq)]
struct Fault<E: Effect> {
    /// None: any call.
    function: Option<String>,
    device: Option<E::Device>,
    at: u64,
    and_after: bool,
    effect: E,
    seen: u64,
}

/// The faults that a process's devices still expect.
#[derive(Debug)]
pub struct Faults<E: Effect> {
    pending: Mutex<Vec<Fault<E>>>,
    /// Their number, so that a call without any is quick.
    count: AtomicUsize,
}

impl<E: Effect> Faults<E> {
    /// None.
    #[allow(clippy::new_without_default, reason = "only ever a static")]
    pub const fn new() -> Self {
        Self { pending: Mutex::new(Vec::new()), count: AtomicUsize::new(0) }
    }

    /// Adds the faults of a specification.
    ///
    /// # Errors
    /// A description; then nothing was added.
    pub fn add(&self, specification: &str) -> Result<(), String> {
        let parts = specification.split(';').map(str::trim).filter(|part| !part.is_empty());
        let parsed = parts.map(|part| parse(part).ok_or_else(|| format!("not a fault: {part}")));
        let parsed = parsed.collect::<Result<Vec<_>, _>>()?;
        let mut pending = lock(&self.pending);
        pending.extend(parsed);
        self.count.store(pending.len(), Ordering::Relaxed);
        Ok(())
    }

    /// Forgets all faults.
    pub fn clear(&self) {
        lock(&self.pending).clear();
        self.count.store(0, Ordering::Relaxed);
    }

    /// Counts this call and returns its faults.
    pub fn at_call(&self, function: &str, device: Option<&E::Device>) -> Vec<E> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        let mut pending = lock(&self.pending);
        pending.iter_mut().filter_map(|fault| fault.at_call(function, device)).collect()
    }
}

impl<E: Effect> Fault<E> {
    fn at_call(&mut self, function: &str, device: Option<&E::Device>) -> Option<E> {
        let meant = self.function.as_deref().is_none_or(|f| f == function);
        if !meant || (self.device.is_some() && self.device.as_ref() != device) {
            return None;
        }
        self.seen += 1;
        (self.seen == self.at || self.and_after && self.seen > self.at).then_some(self.effect)
    }
}

fn parse<E: Effect>(text: &str) -> Option<Fault<E>> {
    if let Some(lost) = text.strip_prefix(E::LOST).and_then(|rest| rest.strip_prefix(':')) {
        return parse_lost(lost);
    }
    let (text, device) = match text.split_once('@') {
        Some((text, device)) => (text, Some(device.trim().parse().ok()?)),
        None => (text, None),
    };
    let mut fields = text.splitn(3, ':').map(str::trim);
    let (function, at, what) = (fields.next()?, fields.next()?, fields.next()?);
    let (at, and_after) = parse_call(at)?;
    let function = (function != "*").then(|| function.to_owned());
    Some(Fault { function, device, at, and_after, effect: E::parse(what)?, seen: 0 })
}

fn parse_lost<E: Effect>(text: &str) -> Option<Fault<E>> {
    let (device, rest) = text.split_once("@call")?;
    let (at, status) = match rest.split_once(':') {
        Some((at, name)) => (at, Some(name.trim())),
        None => (rest, None),
    };
    let (at, and_after) = parse_call(at.trim())?;
    let device = Some(device.trim().parse().ok()?);
    let effect = E::lost(status)?;
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

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Test {
        Fail(u32),
        Lost(u32),
    }

    impl Effect for Test {
        type Device = usize;
        const LOST: &'static str = "device_lost";

        fn parse(what: &str) -> Option<Self> {
            what.strip_prefix("fail=")?.parse().ok().map(Self::Fail)
        }

        fn lost(status: Option<&str>) -> Option<Self> {
            status.map_or(Some(0), |status| status.parse().ok()).map(Self::Lost)
        }
    }

    fn calls(text: &str, calls: &[(&str, usize)]) -> Vec<Option<Test>> {
        let mut fault = parse::<Test>(text).unwrap();
        calls.iter().map(|(function, device)| fault.at_call(function, Some(device))).collect()
    }

    #[test]
    fn a_fault_happens_once_at_its_call() {
        let seen = calls("a:2:fail=7", &[("a", 0), ("b", 0), ("a", 1), ("a", 0)]);
        assert_eq!(seen, [None, None, Some(Test::Fail(7)), None]);
    }

    #[test]
    fn a_plus_goes_on() {
        let fail = Some(Test::Fail(2));
        assert_eq!(calls("*:2+:fail=2", &[("a", 0), ("b", 0), ("c", 0)]), [None, fail, fail]);
    }

    #[test]
    fn a_device_is_counted_alone() {
        let seen = calls("device_lost:1@call 2:5", &[("a", 1), ("b", 0), ("c", 1)]);
        assert_eq!(seen, [None, None, Some(Test::Lost(5))]);
        assert_eq!(calls("a:1:fail=3@1", &[("a", 0), ("a", 1)]), [None, Some(Test::Fail(3))]);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["a", "a:1", "a:0:fail=1", "a:x:fail=1", "a:1:fail", "a:1:", "a:1:fast=1"] {
            assert_eq!(parse::<Test>(text), None, "{text}");
        }
    }
}
