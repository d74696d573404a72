//! Measurements: each starts a gateway anew, and gives one sample or says why there is none.

/// What a request costs, and how long answers take.
mod cost;
/// What connections hold that wait.
mod idle;
/// What an edit costs, and how long it takes.
mod reload;

use std::{
    io,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    Invalid,
    family::Family,
    figure::Sample,
    gateway::{Gateway, Start},
    load::{Generators, Lasting, Order, Pace},
    scenario::Measure,
    shape::{Door, Shape},
    site::{Site, free_address},
    upstream::Answer,
};
use crate::{
    certificates::SecureClient,
    client::{self, Connection},
    issuer::bearer,
    waiting::within,
};

/// The longest that a gateway may take from its start to its first 200.
const PATIENCE: Duration = Duration::from_mins(1);

/// Between two looks at the processor time of a gateway that should have nothing to do.
const LOOK: Duration = Duration::from_millis(200);

/// How many looks it is given.
const LOOKS: u32 = 20;

/// How much of the time between two looks is nothing: one tick of the clock.
const NOTHING: f64 = 0.011;

/// How long and how often is measured.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Samples of each row.
    pub rounds: u32,
    /// The length of a load.
    pub seconds: u32,
    /// Connections that wait, in the scenario about them.
    pub idle: usize,
    /// Edits, in the scenario about them.
    pub edits: u32,
}

/// Who measures.
pub struct Bench {
    /// What stands around the gateways.
    pub site: Site,
    /// Who asks.
    pub generators: Generators,
    /// How long and how often.
    pub effort: Effort,
}

/// What is to be measured.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Of which gateway.
    pub gateway: &'a Gateway,
    /// What it is like and what is asked of it.
    pub shape: &'a Shape,
    /// What the reference can carry, where latencies are measured at half of it; of the reference itself, nothing.
    pub peak: Option<f64>,
}

/// A gateway that answers.
struct Live {
    family: Family,
    address: SocketAddr,
    tokens: Vec<String>,
    /// From its start to its first 200.
    ready: Duration,
    /// Files of it and of its load.
    directory: TempDir,
}

impl Bench {
    /// One sample.
    ///
    /// # Errors
    /// When there is none that may be used.
    pub fn sample(&self, measure: Measure, subject: Subject<'_>) -> Result<Sample, Invalid> {
        match measure {
            Measure::Cost => cost::measure(self, subject),
            Measure::CostAndLatency => cost::measure_with_latency(self, subject),
            Measure::Idle => idle::measure(self, subject),
            Measure::Reload => reload::measure(self, subject),
        }
    }

    /// Starts a gateway and waits until it answers 200.
    fn start(&self, subject: Subject<'_>) -> Result<Live, Invalid> {
        let Subject { gateway, shape, .. } = subject;
        let answer = Answer::of(shape, 'A');
        let upstream = self.site.upstream(answer)?.address();
        // Signing and writing files are not part of the start.
        let tokens = self.site.tokens(shape.tokens)?;
        let directory = self.site.place()?;
        let address = free_address();
        let place = Start { site: &self.site, shape, address, upstream, directory: directory.path() };
        let command = gateway.command(place)?;
        let began = Instant::now();
        let family = Family::start(command)?;
        let mut live = Live { family, address, tokens, ready: Duration::ZERO, directory };
        self.until_ready(&mut live, shape)?;
        live.ready = began.elapsed();
        Ok(live)
    }

    fn until_ready(&self, live: &mut Live, shape: &Shape) -> Result<(), Invalid> {
        let mut last = Err(io::ErrorKind::NotConnected.into());
        let answered = within(PATIENCE, || {
            last = self.ask(live, shape);
            match &last {
                Ok(200) => Some(true),
                _ => live.family.leader().status().map(|_| false),
            }
        });
        if answered == Some(true) {
            return Ok(());
        }
        Err(Invalid::NotReady { last: last.map_err(|error| error.kind()), said: live.family.said() })
    }

    /// The status of one request on a connection of its own.
    fn ask(&self, live: &Live, shape: &Shape) -> io::Result<u16> {
        let path = shape.path();
        if shape.door == Door::Clear {
            let mut connection = Connection::try_open(live.address)?;
            connection.try_send(live.request(&path))?;
            return Ok(connection.try_response_to("GET")?.status());
        }
        // HTTP/1.1 comes through each of these doors.
        let answer = SecureClient::open(live.address, self.site.authority(), None)?.get(&path)?;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// A short load, after which the gateway has come to rest and still answers.
    fn warm_up(&self, live: &Live, shape: &Shape) -> Result<(), Invalid> {
        self.generators.run(live.order(shape, Lasting::Seconds(1), Pace::Full))?;
        live.settle();
        match client_status(self.ask(live, shape)) {
            200 => Ok(()),
            status => Err(Invalid::Unwell { status }),
        }
    }
}

/// 0 stands for no answer.
fn client_status(asked: io::Result<u16>) -> u16 {
    asked.unwrap_or_default()
}

impl Live {
    fn order<'a>(&'a self, shape: &'a Shape, lasting: Lasting, pace: Pace) -> Order<'a> {
        let directory = self.directory.path();
        Order { address: self.address, shape, tokens: &self.tokens, lasting, pace, directory }
    }

    /// A GET with the first token, if there are any.
    fn request(&self, path: &str) -> String {
        let fields = self.tokens.first().map(|token| bearer(token)).unwrap_or_default();
        format!("GET {path} HTTP/1.1\r\nHost: gateway.example\r\n{fields}\r\n")
    }

    /// Waits until it has dealt with what has been, such as connections that a load broke off.
    fn settle(&self) {
        for _ in 0..LOOKS {
            let before = self.family.processor_time();
            // What is looked for is that nothing happens for a while; only a while shows it.
            thread::sleep(LOOK);
            let after = self.family.processor_time();
            if after.user + after.system - before.user - before.system < NOTHING {
                return;
            }
        }
    }
}

/// A connection to a gateway that has been answered once.
fn answered_once(live: &Live, path: &str) -> Result<Connection, Invalid> {
    let mut connection = Connection::try_open(live.address)?;
    connection.try_send(live.request(path))?;
    let response: client::Response = connection.try_response_to("GET")?;
    if response.status() != 200 || response.head.lists("connection", "close") {
        return Err(Invalid::NotKept { status: response.status() });
    }
    Ok(connection)
}
