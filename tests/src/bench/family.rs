//! A program that was started, with all the processes it started in turn: what they use, and their end.

use std::{
    collections::HashMap,
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::statistics::real;
use crate::{
    programs::{ProgramError, Running},
    waiting::within,
};

/// How long a program may take to end by itself before it is killed.
const LEAVE: Duration = Duration::from_secs(5);

/// A running program and its descendants. They are ended when this is dropped.
#[derive(Debug)]
pub struct Family {
    leader: Running,
}

/// Time that processes have had of the processors, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ProcessorTime {
    /// In their own code.
    pub user: f64,
    /// In the system's, on their behalf.
    pub system: f64,
}

/// Memory of processes, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Footprint {
    /// A page that several share counts in each (RSS).
    pub resident: f64,
    /// A page that several share counts once (PSS).
    pub proportional: f64,
}

/// A line of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// Clock ticks in user mode, of the process and of its children that have ended.
    user: u64,
    /// The same in the system's.
    system: u64,
    /// When it began, in clock ticks: with its number, what tells it from any other.
    began: u64,
}

impl Family {
    /// Starts a program. What it writes to stdout, which is where access logs go, nobody keeps.
    ///
    /// # Errors
    /// When the system does not start it.
    pub fn start(command: Command) -> Result<Self, ProgramError> {
        Ok(Self { leader: Running::start_on(command, Stdio::null())? })
    }

    /// The program itself.
    pub fn leader(&mut self) -> &mut Running {
        &mut self.leader
    }

    /// The last of what it wrote to stderr.
    #[must_use]
    pub fn said(&self) -> String {
        self.leader.stderr().last(5).join("; ")
    }

    /// Time used so far.
    #[must_use]
    pub fn processor_time(&self) -> ProcessorTime {
        let (mut user, mut system) = (0, 0);
        for stat in self.members().values() {
            user += stat.user;
            system += stat.system;
        }
        let ticks = real(rustix::param::clock_ticks_per_second());
        ProcessorTime { user: real(user) / ticks, system: real(system) / ticks }
    }

    /// Memory in use.
    #[must_use]
    pub fn footprint(&self) -> Footprint {
        let mut sum = Footprint::default();
        for pid in self.members().keys() {
            sum.resident += kibibytes(*pid, "status", "VmRSS:") * 1024.0;
            sum.proportional += kibibytes(*pid, "smaps_rollup", "Pss:") * 1024.0;
        }
        sum
    }

    /// The leader and all that descend from it.
    fn members(&self) -> HashMap<u32, Stat> {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let read = |pid| Some((pid, Stat::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?));
        descendants(self.leader.pid(), &pids.filter_map(read).collect())
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        let members = self.members();
        let signal = |pid: &u32, signal| {
            let pid = i32::try_from(*pid).ok().and_then(Pid::from_raw);
            // It may have ended in the meantime.
            let _ = pid.map(|pid| kill_process(pid, signal));
        };
        signal(&self.leader.pid(), Signal::TERM);
        let _ = within(LEAVE, || self.leader.status());
        let left = |pid: &&u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok();
            // The same process still, and not another that has got its number.
            stat.and_then(|text| Stat::parse(&text)).is_some_and(|now| now.began == members[pid].began)
        };
        members.keys().filter(left).for_each(|pid| signal(pid, Signal::KILL));
    }
}

impl Stat {
    /// proc(5): the name, in parentheses, may have blanks and parentheses.
    fn parse(line: &str) -> Option<Self> {
        let (_, fields) = line.rsplit_once(") ")?;
        let fields: Vec<_> = fields.split_ascii_whitespace().collect();
        // The first of these is the third of the line.
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        let (user, system) = (number(14)? + number(16)?, number(15)? + number(17)?);
        Some(Self { parent: u32::try_from(number(4)?).ok()?, user, system, began: number(22)? })
    }
}

/// A process and those that descend from it.
fn descendants(leader: u32, all: &HashMap<u32, Stat>) -> HashMap<u32, Stat> {
    let mut found = HashMap::new();
    let mut next = vec![leader];
    while let Some(pid) = next.pop() {
        if let Some(stat) = all.get(&pid)
            && found.insert(pid, *stat).is_none()
        {
            next.extend(all.iter().filter(|(_, child)| child.parent == pid).map(|(pid, _)| *pid));
        }
    }
    found
}

/// A line of a file of the process; nothing of one that has ended.
fn kibibytes(pid: u32, file: &str, name: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let value =
        text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    value.map_or(0.0, real)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_stat_is_read_behind_the_name() {
        let check = |line: &str, expected: Option<(u32, u64, u64)>| {
            let stat = Stat::parse(line).map(|stat| (stat.parent, stat.user, stat.system));
            assert_eq!(stat, expected, "{line}");
        };
        let numbers = "S 41 7 7 0 -1 4194560 100 0 0 0 150 75 5 2 20 0 3 0 1000 1 2";
        check(&format!("42 (nginx) {numbers}"), Some((41, 155, 77)));
        check(&format!("42 (worker ) 9 (x)) {numbers}"), Some((41, 155, 77)));
        check("42 (nginx) S 41 7 7", None);
        check("", None);
    }

    #[test]
    fn a_family_is_its_leader_and_whoever_descends_from_it() {
        let stat = |parent| Stat { parent, user: 1, system: 1, began: 1 };
        let all = [(1, 0), (10, 1), (11, 10), (12, 11), (20, 1), (30, 30)];
        let all = all.map(|(pid, parent)| (pid, stat(parent))).into();
        let check = |leader, expected: &[u32]| {
            let mut found: Vec<_> = descendants(leader, &all).into_keys().collect();
            found.sort_unstable();
            assert_eq!(found, expected);
        };
        check(10, &[10, 11, 12]);
        check(20, &[20]);
        check(30, &[30]);
        check(99, &[]);
    }

    #[test]
    fn time_and_memory_of_children_count() {
        let mut command = Command::new("sh");
        // The shell is busy in a child and waits for it.
        command.args(["-c", "sh -c 'while :; do :; done' & wait"]);
        let family = Family::start(command).unwrap();
        let both = within(crate::waiting::DEADLINE, || (family.members().len() == 2).then_some(()));
        assert_eq!(both, Some(()));
        let busy = || (family.processor_time().user > 0.05).then_some(());
        assert_eq!(within(crate::waiting::DEADLINE, busy), Some(()));
        let memory = family.footprint();
        assert!(memory.resident > 100_000.0 && memory.proportional > 0.0, "{memory:?}");
        let members: Vec<_> = family.members().into_keys().collect();
        drop(family);
        let is_gone = |pid: &u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        let gone = || members.iter().all(is_gone).then_some(());
        assert_eq!(within(crate::waiting::DEADLINE, gone), Some(()));
    }
}
