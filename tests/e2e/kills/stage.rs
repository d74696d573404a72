//! The fleet of a campaign: two control planes with a file each, and data planes under load that follow one of them over a
//! network that can be bad.
//!
//! It does what it is told and says what it sees; what should be seen is the model's.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use apigw_tests::{
    client,
    configuration::ConfigFile,
    gateway::{ControlPlane, DataPlane, Source, gwctl, gwctl_json, state_directory},
    load::{Load, Reuse},
    network::Network,
    origin::{Origin, Request, ok},
    programs::Running,
    waiting::eventually,
};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::{
    content,
    model::{CONTROL_PLANES, Contents, DATA_PLANES},
    step::{Damage, Ending},
};

/// Where a revision stands in the order of all of them.
pub(crate) type Place = (u64, u64);

/// A revision's place and hash; none, while there is none.
pub(crate) fn revision(told: &Value) -> Option<(Place, String)> {
    let place = (told["epoch"].as_u64()?, told["seq"].as_u64()?);
    Some((place, told["hash"].as_str()?.to_owned()))
}

pub(crate) struct Commander {
    pub(crate) file: ConfigFile,
    pub(crate) process: Option<ControlPlane>,
    /// What was published at each place.
    known: BTreeMap<Place, String>,
    newest: Option<Place>,
}

pub(crate) struct Follower {
    state: TempDir,
    pub(crate) network: Network,
    pub(crate) process: Option<DataPlane>,
    loads: Vec<Load>,
    /// What its answers may be of.
    allowed: Arc<Mutex<Contents>>,
    newest: Option<Place>,
}

pub(crate) struct Stage {
    pub(crate) origin: Origin,
    pub(crate) commanders: [Commander; CONTROL_PLANES],
    pub(crate) followers: [Follower; DATA_PLANES],
    /// The number of the content that has a hash.
    numbers: BTreeMap<String, u32>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let origin =
            Origin::answering_after(Duration::from_millis(3), |request: &Request| ok(request.line()));
        let mut number = 0..;
        let commanders = std::array::from_fn(|_| {
            let file = ConfigFile::new(content::good(number.next().unwrap_or_default(), &origin));
            let process = Some(ControlPlane::start(file.path()));
            Commander { file, process, known: BTreeMap::new(), newest: None }
        });
        let first = commanders[0].address();
        let followers = std::array::from_fn(|_| Follower {
            state: tempfile::tempdir().expect("a temporary directory"),
            network: Network::to(first),
            process: None,
            loads: Vec::new(),
            allowed: Arc::default(),
            newest: None,
        });
        let mut stage = Self { origin, commanders, followers, numbers: BTreeMap::new() };
        stage.followers.iter_mut().for_each(Follower::start);
        stage
    }

    /// What a control plane has published, if anything, as its status tells; judged in itself.
    pub(crate) fn published(&mut self, control: usize) -> (Value, Option<u32>) {
        let commander = &mut self.commanders[control];
        let address = commander.address();
        let status = gwctl_json(address, &["status"]);
        let Some((place, hash)) = revision(&status["control_plane"]["revision"]) else {
            return (status, None);
        };
        assert!(commander.newest <= Some(place), "{:?} and then {place:?}: {status}", commander.newest);
        commander.newest = Some(place);
        let former = commander.known.entry(place).or_insert_with(|| hash.clone());
        assert_eq!(*former, hash, "two contents under {place:?}");
        if !self.numbers.contains_key(&hash) {
            let routes = gwctl_json(address, &["routes"]);
            let upstream = routes[0]["upstream"].as_str().and_then(|url| url.rsplit_once('/'));
            let number = upstream.and_then(|(_, number)| number.parse().ok());
            // What is published may have changed between the questions.
            let again = gwctl_json(address, &["status"]);
            if revision(&again["control_plane"]["revision"]).is_none_or(|(_, other)| other != hash) {
                return self.published(control);
            }
            self.numbers.insert(hash.clone(), number.unwrap_or_else(|| panic!("no number: {}", routes[0])));
        }
        let number = self.numbers.get(&hash).copied();
        (status, number)
    }

    /// The history of a control plane is in order, begins with what is published, and has not changed.
    pub(crate) fn history(&mut self, control: usize) -> Vec<(Place, u32)> {
        let commander = &mut self.commanders[control];
        let told = gwctl_json(commander.address(), &["history"]);
        let entries = told.as_array().cloned().unwrap_or_default();
        let entries: Vec<_> = entries.iter().filter_map(|entry| revision(&entry["revision"])).collect();
        assert!(entries.is_sorted_by(|newer, older| newer.0 > older.0), "not in order: {told}");
        for (place, hash) in &entries {
            let former = commander.known.entry(*place).or_insert_with(|| hash.clone());
            assert_eq!(former, hash, "another content under {place:?}");
        }
        // Contents that were passed over so quickly that nobody saw them have no number.
        entries.into_iter().filter_map(|(place, hash)| Some((place, *self.numbers.get(&hash)?))).collect()
    }

    /// Waits until a data plane runs a content under a revision that the control plane calls in sync.
    pub(crate) fn agrees(&mut self, data: usize, control: usize, number: u32) {
        let follower = &mut self.followers[data];
        let commander = self.commanders[control].address();
        let last = Mutex::new(Value::Null);
        let agreed = apigw_tests::waiting::within(apigw_tests::waiting::DEADLINE * 2, || {
            let status = gwctl_json(commander, &["status"]);
            let address = follower.traffic()?.to_string();
            let rows = status["data_planes"].as_array().cloned().unwrap_or_default();
            let row = rows
                .into_iter()
                .find(|row| row["listen_addr"] == address.as_str() && row["state"] == "in_sync");
            let answered = follower.answer();
            let runs_it = answered == Ok(number);
            *last.lock().unwrap_or_else(PoisonError::into_inner) =
                serde_json::json!({ "status": status, "answer": format!("{answered:?}") });
            let agrees = row?["revision"] == status["control_plane"]["revision"];
            (agrees && runs_it).then_some(())
        });
        assert!(agreed.is_some(), "data plane {data} does not run {number}: {last:#?}");
        let address = follower.process.as_ref().map(DataPlane::admin).expect("it runs");
        let own = gwctl_json(address, &["status"]);
        if let Some((place, _)) = revision(&own["data_planes"][0]["revision"]) {
            assert!(follower.newest <= Some(place), "{:?} and then {place:?}: {own}", follower.newest);
            follower.newest = Some(place);
        }
    }
}

impl Commander {
    pub(crate) fn address(&self) -> SocketAddr {
        self.process.as_ref().expect("this control plane runs").address()
    }

    pub(crate) fn start(&mut self) {
        self.process = Some(ControlPlane::start(self.file.path()));
    }

    /// Asks for a rollback and does not wait.
    pub(crate) fn ask_for_rollback(&self, to: Place) -> Running {
        let endpoint = format!("http://{}", self.address());
        let mut command = apigw_tests::programs::Programs::built().command("gwctl");
        command.args(["--endpoint", &endpoint, "rollback", &format!("{}.{}", to.0, to.1)]);
        Running::start(command).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn roll_back(&self, to: Place) {
        let told = gwctl(self.address(), &["rollback", &format!("{}.{}", to.0, to.1)]);
        assert_eq!(told.code, Some(0), "{told:?}");
    }

    pub(crate) fn end(&mut self, ending: Ending) {
        if let Some(mut control_plane) = self.process.take() {
            end(control_plane.program_mut(), ending);
        }
    }

    /// Damages one file of the history.
    pub(crate) fn damage(&self, file: usize, damage: Damage) {
        let state = state_directory(self.file.path());
        let mut files: Vec<_> =
            ["leaves", "revisions"].iter().flat_map(|part| files(&state.join(part))).collect();
        files.sort();
        if !files.is_empty() {
            let path = &files[file % files.len()];
            // A record that is gone is not damaged: nothing says that there was one.
            let is_record = path.parent().is_some_and(|parent| parent.ends_with("revisions"));
            apply(path, if is_record && damage == Damage::Removed { Damage::Emptied } else { damage });
        }
    }
}

impl Follower {
    pub(crate) fn start(&mut self) {
        self.newest = None;
        let source = Source::ControlPlane(self.network.address());
        self.process = Some(DataPlane::start_in(self.state.path(), source));
    }

    /// Where it takes traffic; none while it takes none.
    pub(crate) fn traffic(&self) -> Option<SocketAddr> {
        let data_plane = self.process.as_ref()?;
        let ready = client::try_get(data_plane.admin(), "/readyz").ok()?;
        (ready.status() == 200).then(|| data_plane.traffic())
    }

    /// The number of the content that it runs now.
    pub(crate) fn answer(&self) -> Result<u32, String> {
        let address = self.traffic().ok_or("it is not ready")?;
        let answer = client::try_get(address, "/").map_err(|error| error.to_string())?;
        content::number(&answer)
    }

    /// Waits until it has read its directory; whether it found something there.
    pub(crate) fn found_something(&self) -> bool {
        let data_plane = self.process.as_ref().expect("it was started");
        eventually("it serves, or says that it has nothing", || {
            let nothing = |line: &String| line.contains("no configuration was kept");
            let is_empty = data_plane.program().stderr().all().iter().any(nothing);
            self.traffic().map(|_| true).or(is_empty.then_some(false))
        })
    }

    /// Answers may be of these from now on.
    pub(crate) fn allow(&mut self, contents: &Contents) {
        self.allowed.lock().unwrap_or_else(PoisonError::into_inner).clone_from(contents);
    }

    /// Puts it under load, if it takes traffic and is under none.
    pub(crate) fn load(&mut self) {
        if let (true, Some(address)) = (self.loads.is_empty(), self.traffic()) {
            for reuse in [Reuse::MustSucceed, Reuse::NeverKept] {
                let allowed = Arc::clone(&self.allowed);
                let judge = move |answer: &client::Response| {
                    let number = content::number(answer)?;
                    let allowed = allowed.lock().unwrap_or_else(PoisonError::into_inner);
                    let is_allowed = allowed.contains(&Some(number));
                    is_allowed.then_some(()).ok_or_else(|| format!("{number}, where {allowed:?} may be"))
                };
                self.loads.push(Load::start(address, "/", 1, reuse, judge));
            }
        }
    }

    /// Waits until each client has sent a request and has its answer.
    pub(crate) fn is_asked(&self) {
        for load in &self.loads {
            // The first of two may have been sent before.
            let before = load.answered();
            eventually("requests are answered", || (load.answered() >= before + 2).then_some(()));
        }
    }

    /// Ends the load; nothing has failed under it.
    pub(crate) fn unload(&mut self) {
        self.loads.drain(..).for_each(|load| load.stop().is_flawless());
    }

    pub(crate) fn end(&mut self, ending: Ending) {
        self.unload();
        if let Some(mut data_plane) = self.process.take() {
            end(data_plane.program_mut(), ending);
        }
    }

    /// Ends at once, in the middle of its load; what its clients see then is theirs.
    pub(crate) fn is_killed(&mut self) {
        if let Some(mut data_plane) = self.process.take() {
            end(data_plane.program_mut(), Ending::Killed);
        }
        self.loads.drain(..).for_each(|load| drop(load.stop()));
    }

    pub(crate) fn damage(&self, slots: &[usize], damage: Damage) {
        for slot in slots {
            let path = self.state.path().join(["slot-a", "slot-b"][*slot]);
            if path.exists() {
                apply(&path, damage);
            }
        }
    }
}

fn end(program: &mut Running, ending: Ending) {
    match ending {
        Ending::Killed => {
            program.signal(Signal::KILL);
            let _ = program.ended();
        }
        Ending::Terminated => {
            program.signal(Signal::TERM);
            assert_eq!(program.ended().code(), Some(0), "{} does not end as it should", program.title());
        }
    }
    let panicked: Vec<_> =
        program.stderr().all().into_iter().filter(|line| line.contains("panicked")).collect();
    assert!(panicked.is_empty(), "{}: {panicked:?}", program.title());
}

fn files(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn apply(path: &Path, damage: Damage) {
    let mut bytes = fs::read(path).expect("it is there");
    let middle = bytes.len() / 2;
    let done = match damage {
        Damage::Flipped => {
            bytes.iter_mut().skip(middle).take(1).for_each(|byte| *byte ^= 0x10);
            fs::write(path, bytes)
        }
        Damage::CutOff => fs::write(path, &bytes[..middle]),
        Damage::Emptied => fs::write(path, ""),
        Damage::Removed => fs::remove_file(path),
    };
    done.unwrap_or_else(|error| panic!("cannot damage {}: {error}", path.display()));
}
