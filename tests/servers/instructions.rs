//! What a proxied request costs a data plane, counted and not timed: instructions in user mode, system calls, allocations.
//!
//! `cargo run -p apigw-tests --bin instructions -- target/counted/dataplane` after `cargo build --profile counted --bin
//! dataplane`. One worker, one client that asks the next when it has the answer, every default on, the access log to
//! /dev/null, under `valgrind --tool=callgrind`. What comes out differs from run to run by less than a percent, however
//! busy the machine. With `--guard` a figure that has risen above the one kept here is a failure.

use std::{
    error::Error,
    fmt, fs,
    io::{self, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use apigw_tests::{
    configuration::{ConfigFile, Document},
    flags,
    frames::{ACK, END_HEADERS, END_STREAM, Kind, PREFACE, frame},
    origin::Origin,
    programs::Running,
    tokens::{Claims, hs256},
};
use rustix::process::Signal;

/// Counts what a request costs.
#[derive(clap::Parser)]
struct Flags {
    /// The program to count in.
    dataplane: PathBuf,
    /// How many requests are counted.
    #[arg(long, default_value_t = 2_000)]
    requests: u32,
    /// Where the profiles are left, for `callgrind_annotate`.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Only this scenario.
    #[arg(long)]
    scenario: Option<String>,
    /// Fails when a figure is above the one that is kept.
    #[arg(long)]
    guard: bool,
}

/// A kind of request, and what it may cost.
struct Scenario {
    name: &'static str,
    gateway: fn(&Origin) -> Document,
    speaks: Version,
    /// Further fields of each request.
    fields: fn() -> String,
    kept: Cost,
}

/// What the client speaks. The upstream speaks HTTP/1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Http11,
    Http2,
}

/// What one request costs.
#[derive(Debug, Clone, Copy)]
struct Cost {
    instructions: f64,
    system_calls: f64,
    allocations: f64,
    /// Under valgrind they are system calls, outside of it most are not.
    looks_at_the_clock: f64,
}

/// One of the figures.
type Figure = fn(&Cost) -> f64;

/// A rise that is no accident of the compiler's.
const TOLERANCE: f64 = 1.05;

/// What passes meanwhile (a worker looks after its pool ten times a second) is counted as well, so a slow machine counts a
/// little more.
const SLACK: Cost =
    Cost { instructions: 200.0, system_calls: 0.3, allocations: 0.1, looks_at_the_clock: 0.3 };

const SCENARIOS: [Scenario; 4] = [
    Scenario {
        name: "plain",
        gateway: |origin| Document::new().route("all", "/", origin.url()),
        speaks: Version::Http11,
        fields: String::new,
        kept: Cost { instructions: 28_886.0, system_calls: 6.1, allocations: 3.1, looks_at_the_clock: 10.1 },
    },
    Scenario {
        name: "http2",
        gateway: |origin| Document::new().route("all", "/", origin.url()),
        speaks: Version::Http2,
        fields: String::new,
        kept: Cost { instructions: 32_576.0, system_calls: 6.1, allocations: 6.1, looks_at_the_clock: 11.1 },
    },
    Scenario {
        name: "policies",
        gateway: |origin| limited(origin, "ip"),
        speaks: Version::Http11,
        fields: String::new,
        kept: Cost { instructions: 32_230.0, system_calls: 6.1, allocations: 3.1, looks_at_the_clock: 10.1 },
    },
    Scenario {
        name: "jwt",
        gateway: |origin| {
            let file = limited(origin, "user").with("auth_required: true");
            file.auth("mode: hmac").auth(&format!("hmac_secret: \"{SECRET}\""))
        },
        speaks: Version::Http11,
        fields: || {
            let (issuer, audience, lifetime) = (None, None, Duration::from_hours(1));
            let claims = Claims { subject: "alice", issuer, audience, lifetime };
            format!("Authorization: Bearer {}\r\n", hs256(SECRET, claims))
        },
        kept: Cost { instructions: 35_261.0, system_calls: 6.1, allocations: 3.1, looks_at_the_clock: 11.1 },
    },
];

const SECRET: &str = "a-secret-of-at-least-thirty-two-bytes";

/// A route with limits that are looked at with each request and never reached.
fn limited(origin: &Origin, scope: &str) -> Document {
    Document::new()
        .route("all", "/", origin.url())
        .with(&format!("rate_limit: {{ enabled: true, rps: 1000000, burst: 1000000, scope: {scope} }}"))
        .with("concurrency: { max_in_flight: 1000 }")
        .with("circuit_breaker: { enabled: true, failure_threshold: 5, open_seconds: 10, half_open_max_in_flight: 1 }")
}

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
enum NotCounted {
    #[error("{tool} has failed; is it installed?")]
    Tool { tool: &'static str },
    #[error("the answer to a request is not the upstream's: {head}")]
    Answer { head: String },
    #[error("the profile has no {what}")]
    Profile { what: &'static str },
    #[error("{scenario}: {risen} has risen")]
    Risen { scenario: &'static str, risen: &'static str },
}

fn main() -> ExitCode {
    match count_all(&flags::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn count_all(flags: &Flags) -> Result<(), Box<dyn Error>> {
    let mut risen = Ok(());
    for scenario in &SCENARIOS {
        if flags.scenario.as_deref().is_some_and(|wanted| wanted != scenario.name) {
            continue;
        }
        let cost = count(scenario, flags)?;
        println!("{:<10} {cost}", scenario.name);
        if let Some(name) = cost.risen_above(&scenario.kept) {
            println!("{:<10} {}   <- kept", "", scenario.kept);
            risen = Err(NotCounted::Risen { scenario: scenario.name, risen: name });
        }
    }
    if flags.guard { Ok(risen?) } else { Ok(()) }
}

fn count(scenario: &Scenario, flags: &Flags) -> Result<Cost, Box<dyn Error>> {
    const WARM_UP: u32 = 200;
    let origin = upstream();
    let file = ConfigFile::new((scenario.gateway)(&origin));
    let profile = match &flags.keep {
        Some(directory) => directory.join(format!("{}.callgrind", scenario.name)),
        None => file.directory().join("callgrind"),
    };
    let mut gateway = Running::start_on(command(&flags.dataplane, &file, &profile), Stdio::null())?;
    match scenario.speaks {
        Version::Http11 => {
            let mut client = Client::connect(&gateway, &(scenario.fields)())?;
            client.ask(WARM_UP)?;
            control(&gateway, "on")?;
            client.ask(flags.requests)?;
        }
        Version::Http2 => {
            let mut client = Http2Client::connect(&gateway)?;
            client.ask(WARM_UP)?;
            control(&gateway, "on")?;
            client.ask(flags.requests)?;
        }
    }
    control(&gateway, "off")?;
    gateway.signal(Signal::TERM);
    let _ = gateway.ended();
    Ok(Profile(&fs::read_to_string(&profile)?).cost(f64::from(flags.requests))?)
}

/// An upstream that answers as a common server does. It looks at nothing, so as not to be what is waited for.
fn upstream() -> Origin {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Tue, 03 Nov 2026 10:00:00 GMT\r\n\
        Content-Type: text/plain\r\nContent-Length: 48\r\nConnection: keep-alive\r\n\r\n\
        forty-eight bytes, as the comparison has them.\r\n";
    Origin::scripted(|peer| {
        while !peer.some_bytes()?.is_empty() {
            peer.send(ANSWER)?;
        }
        Ok(())
    })
}

fn command(dataplane: &Path, file: &ConfigFile, profile: &Path) -> Command {
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--instr-atstart=no", "--collect-systime=yes"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(dataplane)
        .arg("--config")
        .arg(file.path())
        .args(["--workers", "1", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("APIGW_STATE_DIR", file.directory().join("state"));
    command
}

fn control(gateway: &Running, counting: &str) -> Result<(), NotCounted> {
    let mut command = Command::new("callgrind_control");
    command.args(["-i", counting, &gateway.pid().to_string()]).stdout(Stdio::null());
    let done = command.status().is_ok_and(|status| status.success());
    done.then_some(()).ok_or(NotCounted::Tool { tool: "callgrind_control" })
}

/// A client that asks for the same again and again.
struct Client {
    stream: TcpStream,
    request: String,
    /// Of an answer, once one has come whole.
    bytes: usize,
}

impl Client {
    fn connect(gateway: &Running, fields: &str) -> Result<Self, Box<dyn Error>> {
        let address = gateway.listening("traffic")?;
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let request = format!("GET /x HTTP/1.1\r\nHost: {address}\r\n{fields}\r\n");
        let mut client = Self { stream, request, bytes: 0 };
        client.bytes = client.first()?;
        Ok(client)
    }

    /// Asks once, and tells how long the answer is. All that follow have fields of the same length.
    fn first(&mut self) -> Result<usize, Box<dyn Error>> {
        const END: &[u8] = b"as the comparison has them.\r\n";
        self.stream.write_all(self.request.as_bytes())?;
        let mut answer = Vec::new();
        let mut piece = [0; 4_096];
        while !answer.ends_with(END) {
            let length = self.stream.read(&mut piece)?;
            answer.extend_from_slice(&piece[..length]);
            if length == 0 || answer.starts_with(b"HTTP/1.1") && !answer.starts_with(b"HTTP/1.1 200 ") {
                return Err(NotCounted::Answer { head: String::from_utf8_lossy(&answer).into_owned() }.into());
            }
        }
        Ok(answer.len())
    }

    fn ask(&mut self, times: u32) -> io::Result<()> {
        let mut answer = vec![0; self.bytes];
        for _ in 0..times {
            self.stream.write_all(self.request.as_bytes())?;
            self.stream.read_exact(&mut answer)?;
        }
        Ok(())
    }
}

/// The same over HTTP/2, in one connection: each request in a stream of its own, once the one before is answered.
struct Http2Client {
    stream: TcpStream,
    /// Of the next request.
    number: u32,
}

impl Http2Client {
    /// All windows that answers could need.
    const WINDOW_BYTES: u32 = 1 << 30;

    fn connect(gateway: &Running) -> Result<Self, Box<dyn Error>> {
        let address = gateway.listening("traffic")?;
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream, number: 1 };
        client.stream.write_all(PREFACE)?;
        client.stream.write_all(&frame(Kind::Settings, ACK, 0, &[]))?;
        client.stream.write_all(&frame(Kind::WindowUpdate, 0, 0, &Self::WINDOW_BYTES.to_be_bytes()))?;
        // GET, http, `/x` and the host, the last two to be remembered (RFC 7541 section 6).
        let host = address.to_string();
        let host_bytes = u8::try_from(host.len())?;
        client.send(&[&[0x82, 0x86, 0x44, 2][..], b"/x", &[0x41, host_bytes], host.as_bytes()].concat())?;
        Ok(client)
    }

    fn ask(&mut self, times: u32) -> io::Result<()> {
        // The same, all remembered.
        (0..times).try_for_each(|_| self.send(&[0x82, 0x86, 0xbf, 0xbe]))
    }

    fn send(&mut self, block: &[u8]) -> io::Result<()> {
        self.stream.write_all(&frame(Kind::Headers, END_STREAM | END_HEADERS, self.number, block))?;
        loop {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head)?;
            let [a, b, c, kind, flags, number @ ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            self.stream.read_exact(&mut payload)?;
            let is_answer = u32::from_be_bytes(number) == self.number;
            // 200 is number 8 of the table (RFC 7541 appendix A).
            if is_answer && kind == Kind::Headers as u8 && payload.first() != Some(&0x88)
                || kind == Kind::Reset as u8
            {
                return Err(io::Error::other("the answer to a request is not the upstream's"));
            }
            if is_answer && flags & END_STREAM != 0 {
                self.number += 2;
                return Ok(());
            }
        }
    }
}

impl Cost {
    fn risen_above(&self, kept: &Self) -> Option<&'static str> {
        let has_risen = |of: Figure| of(self) > of(kept) * TOLERANCE + of(&SLACK);
        let figures: [(&str, Figure); 4] = [
            ("the number of instructions", |cost| cost.instructions),
            ("the number of system calls", |cost| cost.system_calls),
            ("the number of allocations", |cost| cost.allocations),
            ("the number of looks at the clock", |cost| cost.looks_at_the_clock),
        ];
        figures.into_iter().find_map(|(name, of)| has_risen(of).then_some(name))
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { instructions, system_calls, allocations, looks_at_the_clock } = self;
        write!(f, "{instructions:>8.0} instructions {system_calls:>6.2} system calls ")?;
        write!(f, "{allocations:>6.2} allocations {looks_at_the_clock:>6.2} looks at the clock")
    }
}

/// What callgrind has written (<https://valgrind.org/docs/manual/cl-format.html>).
struct Profile<'a>(&'a str);

impl Profile<'_> {
    fn cost(&self, requests: f64) -> Result<Cost, NotCounted> {
        let instructions = self.total("Ir").ok_or(NotCounted::Profile { what: "instructions" })?;
        let system_calls = self.total("sysCount").ok_or(NotCounted::Profile { what: "system calls" })?;
        let gives_memory = ["mi_malloc_aligned", "mi_zalloc_aligned", "mi_realloc_aligned"];
        let allocations = self.calls(|name| gives_memory.contains(&name));
        let looks_at_the_clock = self.calls(|name| name.starts_with("clock_gettime@@"));
        Ok(Cost {
            instructions: instructions / requests,
            system_calls: (system_calls - looks_at_the_clock) / requests,
            allocations: allocations / requests,
            looks_at_the_clock: looks_at_the_clock / requests,
        })
    }

    fn total(&self, event: &str) -> Option<f64> {
        let line = |title| self.0.lines().find_map(|line| line.strip_prefix(title));
        let index = line("events: ")?.split_whitespace().position(|name| name == event)?;
        line("totals: ")?.split_whitespace().nth(index)?.parse().ok()
    }

    /// Calls of some functions. A call is a line that names the function, by its number from the second time on, and then
    /// one with how often.
    fn calls(&self, is_one: impl Fn(&str) -> bool) -> f64 {
        let mut numbers = Vec::new();
        for line in self.0.lines() {
            let named = line.strip_prefix("fn=").or_else(|| line.strip_prefix("cfn="));
            if let Some((number, name)) = named.and_then(|named| named.split_once(' '))
                && is_one(name)
            {
                numbers.push(number);
            }
        }
        let mut is_wanted = false;
        let mut calls = 0.0;
        for line in self.0.lines() {
            if let Some(called) = line.strip_prefix("cfn=") {
                is_wanted = numbers.contains(&called.split(' ').next().unwrap_or(called));
            } else if let Some(count) = line.strip_prefix("calls=").filter(|_| is_wanted) {
                calls += count.split(' ').next().and_then(|count| count.parse::<f64>().ok()).unwrap_or(0.0);
            }
        }
        calls
    }
}
