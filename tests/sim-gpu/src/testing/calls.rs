//! The call log, read back.

/// One line of `SIM_GPU_LOG`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// Microseconds since the process's first call, at the call's end.
    pub time_us: u64,
    /// The process.
    pub pid: u32,
    /// The kernel's name of the thread, blanks as `_`.
    pub thread: String,
    /// For example `cuMemcpy2DAsync_v2`.
    pub function: String,
    /// The device of the thread's context at the start of the call.
    pub device: Option<usize>,
    /// The stream's number, from 1 on; 0 without one.
    pub stream: u64,
    /// The bytes that the call moves, allocates or submits.
    pub bytes: u64,
    /// For example `CUDA_SUCCESS`.
    pub status: String,
}

impl CallRecord {
    /// Parses a line; None if it is torn or foreign.
    pub fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split(' ').collect();
        let [time_us, pid, thread, function, device, stream, bytes, status] = fields[..] else {
            return None;
        };
        Some(Self {
            time_us: time_us.parse().ok()?,
            pid: pid.parse().ok()?,
            thread: thread.into(),
            function: function.into(),
            device: if device == "-" { None } else { Some(device.parse().ok()?) },
            stream: stream.parse().ok()?,
            bytes: bytes.parse().ok()?,
            status: status.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read() {
        let call = CallRecord::parse("5 12 vas_decode cuMemcpy2DAsync_v2 1 3 4096 CUDA_SUCCESS");
        let call = call.unwrap();
        assert_eq!((call.device, call.stream, call.bytes), (Some(1), 3, 4096));
        assert_eq!(CallRecord::parse("5 12 vas_decode cuMemcpy2DA"), None);
    }
}
