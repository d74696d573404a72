//! On what it was measured, when, and by which command.

use std::{env, fs, num::NonZero, thread};

use super::{
    gateway::Gateway,
    load::Generators,
    tools::{self, Tool},
};

/// What stands beside every figure.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// The day, in UTC.
    pub date: String,
    /// Processors, their model, the kernel.
    pub machine: String,
    /// The load average before.
    pub busy: String,
    /// Of every program.
    pub versions: String,
    /// What was typed.
    pub command: String,
}

impl Circumstances {
    /// Now, here.
    #[must_use]
    pub fn now(gateways: &[Gateway], generators: &Generators) -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let arguments: Vec<_> = env::args().skip(1).collect();
        Self {
            date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
            machine: format!(
                "{processors} x {}, Linux {}",
                model(&read("/proc/cpuinfo")).unwrap_or(env::consts::ARCH),
                read("/proc/sys/kernel/osrelease").trim()
            ),
            busy: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
            versions: versions(gateways, generators),
            command: ["tests/bench".to_owned()].into_iter().chain(arguments).collect::<Vec<_>>().join(" "),
        }
    }

    /// One sentence.
    #[must_use]
    pub fn caption(&self) -> String {
        format!(
            "{}, {}; {}; load average before: {}; by `{}`.",
            self.date, self.machine, self.versions, self.busy, self.command
        )
    }
}

/// The model of the processors, in `/proc/cpuinfo`.
fn model(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

fn versions(gateways: &[Gateway], generators: &Generators) -> String {
    let unknown = || "of an unknown version".to_owned();
    let gateways = gateways.iter().map(|gateway| {
        let version = match gateway.kind.tool() {
            Some(tool) => tool.version(&gateway.program),
            None => tools::version(&gateway.program, "--version"),
        };
        format!("{} {}", gateway.label, version.unwrap_or_else(unknown))
    });
    let generators = [(Tool::Wrk, &generators.wrk), (Tool::H2load, &generators.h2load)];
    let generators = generators.into_iter().filter_map(|(tool, program)| {
        Some(format!("{} {}", tool.name(), tool.version(program.as_ref()?).unwrap_or_else(unknown)))
    });
    gateways.chain(generators).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_of_the_processors_is_found() {
        let text =
            "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Some CPU @ 2.60GHz\nflags\t: fpu\n";
        assert_eq!(model(text), Some("Some CPU @ 2.60GHz"));
        assert_eq!(model("processor : 0\n"), None);
    }
}
