//! What the system says of a process: its memory and its time.

use std::{fs, time::Duration};

/// Memory of a process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// In use now.
    pub resident: u64,
    /// The most there ever was.
    pub peak: u64,
}

impl Memory {
    /// Of a process that runs.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kibibytes = line.and_then(|rest| rest.trim().split(' ').next()?.parse::<u64>().ok());
            kibibytes.expect("the system tells it in KiB") * 1024
        };
        Self { resident: bytes("VmRSS"), peak: bytes("VmHWM") }
    }
}

/// Time that a process has had of the processors, its own and the system's on its behalf.
#[must_use]
pub fn processor_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    // The name, in parentheses, may have blanks; utime and stime are the 12th and 13th field after it (proc(5)).
    let (_, fields) = stat.rsplit_once(") ").expect("a name in parentheses");
    let ticks: u64 = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second())
}
