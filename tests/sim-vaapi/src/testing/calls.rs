//! The call log, read back.

/// One line of `SIM_VA_LOG`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// Microseconds since the process's first call, at the call's end.
    pub time_us: u64,
    /// The process.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// The kernel's name of the thread, blanks as `_`.
    pub thread: String,
    /// For example `vaGetImage`.
    pub function: String,
    /// The node of the display, for example `renderD128`.
    pub node: Option<String>,
    /// The bytes that the call submits, allocates, copies or maps.
    pub bytes: u64,
    /// For example `VA_STATUS_SUCCESS`.
    pub status: String,
}

impl CallRecord {
    /// Parses a line; None if it is torn or foreign.
    pub fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split(' ').collect();
        let [time_us, pid, tid, thread, function, node, bytes, status] = fields[..] else {
            return None;
        };
        Some(Self {
            time_us: time_us.parse().ok()?,
            pid: pid.parse().ok()?,
            tid: tid.parse().ok()?,
            thread: thread.into(),
            function: function.into(),
            node: (node != "-").then(|| node.into()),
            bytes: bytes.parse().ok()?,
            status: status.into(),
        })
    }

    /// Whether it returned `VA_STATUS_SUCCESS`.
    pub fn succeeded(&self) -> bool {
        self.status == "VA_STATUS_SUCCESS"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read() {
        let line = "5 12 13 vaapi:0 vaGetImage renderD129 4096 VA_STATUS_SUCCESS";
        let call = CallRecord::parse(line).unwrap();
        assert_eq!((call.tid, call.node.as_deref(), call.bytes), (13, Some("renderD129"), 4096));
        assert!(call.succeeded());
        assert_eq!(CallRecord::parse("5 12 13 vaapi:0 vaGetIm"), None);
    }
}
