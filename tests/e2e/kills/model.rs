//! What each side may believe at any moment of a campaign, by `docs/config-path.md` and nothing else.
//!
//! Pure: it starts nothing and asks nobody. Where a race decides, it holds all that the race may come to, until somebody
//! has looked.

use std::collections::BTreeSet;

use apigw_tests::network::Weather;

/// Of how many control planes a campaign is.
pub(crate) const CONTROL_PLANES: usize = 2;

/// Of how many data planes.
pub(crate) const DATA_PLANES: usize = 2;

/// Contents by their numbers; none: not any.
pub(crate) type Contents = BTreeSet<Option<u32>>;

/// How a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Process {
    Up,
    /// By SIGSTOP.
    Paused,
    Down,
}

/// What a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    Good(u32),
    Broken,
}

/// Whether what a file says waits behind a rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    Nothing,
    /// This content.
    Surely(u32),
    /// This content, if the rollback was published before the end, or is remembered in spite of damage.
    Perhaps(u32),
}

#[derive(Debug, Clone)]
pub(crate) struct ControlSide {
    pub(crate) process: Process,
    pub(crate) file: Said,
    pub(crate) held: Held,
    /// What it may have published last.
    pub(crate) published: Contents,
}

#[derive(Debug, Clone)]
pub(crate) struct DataSide {
    pub(crate) process: Process,
    pub(crate) weather: Weather,
    /// The control plane at the end of its network.
    pub(crate) follows: usize,
    /// What may be in force; none: it takes no traffic.
    pub(crate) runs: Contents,
    /// What may have been sent to it and not have come into force.
    pub(crate) in_transit: Contents,
    /// What its directory may give at a start.
    pub(crate) kept: Contents,
    /// Everything that was ever in force.
    pub(crate) ever: Contents,
}

#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) control: [ControlSide; CONTROL_PLANES],
    pub(crate) data: [DataSide; DATA_PLANES],
    /// The number of the next content.
    pub(crate) next: u32,
}

impl Model {
    /// All run; each control plane has its own content, and the data planes follow the first.
    pub(crate) fn new() -> Self {
        let control = std::array::from_fn(|index| ControlSide {
            process: Process::Up,
            file: Said::Good(number_of(index)),
            held: Held::Nothing,
            published: Contents::from([None, Some(number_of(index))]),
        });
        let nothing = Contents::from([None]);
        let data = std::array::from_fn(|_| DataSide {
            process: Process::Up,
            weather: Weather::Clear,
            follows: 0,
            runs: nothing.clone(),
            in_transit: Contents::new(),
            kept: nothing.clone(),
            ever: Contents::new(),
        });
        let mut model = Self { control, data, next: number_of(CONTROL_PLANES) };
        model.spread();
        model
    }

    /// A content that nobody has seen.
    pub(crate) fn fresh(&mut self) -> u32 {
        self.next += 1;
        self.next - 1
    }

    /// A control plane's file is saved, whether or not it runs.
    pub(crate) fn save(&mut self, control: usize, said: Said) {
        let side = &mut self.control[control];
        side.file = said;
        if side.process != Process::Down {
            side.takes_the_file();
        }
        self.spread();
    }

    /// A rollback to this content is asked for and answered.
    pub(crate) fn roll_back(&mut self, control: usize, to: u32) {
        let side = &mut self.control[control];
        if side.published != Contents::from([Some(to)]) {
            side.held = match side.file {
                Said::Good(number) if number != to => Held::Surely(number),
                _ => Held::Nothing,
            };
            // It is on the disk before it is answered.
            side.published = Contents::from([Some(to)]);
        }
        self.spread();
    }

    /// The same, but its control plane dies meanwhile.
    pub(crate) fn roll_back_and_die(&mut self, control: usize, to: u32) {
        let side = &mut self.control[control];
        if let Said::Good(number) = side.file
            && number != to
        {
            side.held = Held::Perhaps(number);
        }
        side.published.insert(Some(to));
        self.spread();
        self.control[control].process = Process::Down;
    }

    pub(crate) fn control_process(&mut self, control: usize, process: Process) {
        let side = &mut self.control[control];
        if side.process == Process::Down && process == Process::Up {
            side.takes_the_file();
        }
        side.process = process;
        self.spread();
    }

    /// A file of the history is damaged: what was published last may be lost, and with it that something is held back.
    pub(crate) fn damage_history(&mut self, control: usize) {
        let side = &mut self.control[control];
        side.published.insert(None);
        if let Held::Surely(number) = side.held {
            side.held = Held::Perhaps(number);
        }
    }

    pub(crate) fn data_process(&mut self, data: usize, process: Process) {
        let side = &mut self.data[data];
        match (side.process, process) {
            (Process::Down, _) => {
                side.runs = side.kept.clone();
                side.ever.extend(side.runs.iter().filter(|content| content.is_some()).copied());
            }
            (_, Process::Down) => {
                side.kept.extend(side.runs.iter().copied());
                side.runs = Contents::from([None]);
                side.in_transit.clear();
            }
            _ => {}
        }
        side.process = process;
        self.spread();
    }

    /// A data plane is asked to end; what it runs for certain, it keeps for certain.
    pub(crate) fn end_data_plane(&mut self, data: usize) {
        let side = &mut self.data[data];
        if let (Some(content), 1) = (side.runs.first().copied().flatten(), side.runs.len()) {
            side.kept = Contents::from([Some(content)]);
        }
        self.data_process(data, Process::Down);
    }

    /// One slot is damaged: the other one has something earlier, if it has anything.
    pub(crate) fn damage_slot(&mut self, data: usize) {
        let side = &mut self.data[data];
        side.kept.extend(side.ever.iter().copied());
        side.kept.insert(None);
    }

    pub(crate) fn damage_both_slots(&mut self, data: usize) {
        self.data[data].kept = Contents::from([None]);
    }

    pub(crate) fn weather(&mut self, data: usize, weather: Weather) {
        self.data[data].weather = weather;
        self.spread();
    }

    pub(crate) fn follow(&mut self, data: usize, control: usize) {
        self.data[data].follows = control;
        self.spread();
    }

    /// What is published may be on its way to whoever follows, and be in force there unless nothing passes.
    fn spread(&mut self) {
        for side in self.data.iter_mut().filter(|side| side.process != Process::Down) {
            let from = &self.control[side.follows];
            if from.process == Process::Up {
                side.in_transit.extend(from.published.iter().filter(|content| content.is_some()));
            }
            if side.weather != Weather::Silent {
                side.runs.extend(side.in_transit.iter().copied());
                side.ever.extend(side.in_transit.iter().copied());
                // What ran for a moment may have been written before the end that comes at any time.
                side.kept.extend(side.in_transit.iter().copied());
            }
        }
    }

    /// The control plane that a data plane will agree with, if both are left alone.
    pub(crate) fn leader(&self, data: usize) -> Option<usize> {
        let side = &self.data[data];
        let passes = match side.weather {
            Weather::Clear | Weather::Slow(_) | Weather::CutOnceAfter(_) => true,
            Weather::Silent | Weather::CutAfter(_) => false,
        };
        let both_run = side.process == Process::Up && self.control[side.follows].process == Process::Up;
        (passes && both_run).then_some(side.follows)
    }

    /// A control plane that was left alone is seen to have published this.
    pub(crate) fn seen_published(&mut self, control: usize, content: Option<u32>) {
        let side = &mut self.control[control];
        side.published = Contents::from([content]);
        side.held = match (side.held, side.file) {
            (Held::Surely(held) | Held::Perhaps(held), Said::Good(number))
                if number == held && content != Some(number) =>
            {
                Held::Surely(held)
            }
            (held, Said::Broken) => held,
            _ => Held::Nothing,
        };
    }

    /// A data plane that was left alone is seen to run what its leader has published.
    pub(crate) fn seen_running(&mut self, data: usize, content: u32) {
        let side = &mut self.data[data];
        side.runs = Contents::from([Some(content)]);
        side.in_transit.clear();
    }
}

impl ControlSide {
    fn takes_the_file(&mut self) {
        match (self.file, self.held) {
            (Said::Good(number), Held::Surely(held)) if number == held => {}
            (Said::Good(number), _) => drop(self.published.insert(Some(number))),
            (Said::Broken, _) => {}
        }
    }

    /// What it may have published when it has read its file, and whether it then says that it holds the file back.
    pub(crate) fn admits(&self, content: Option<u32>, is_held: bool) -> bool {
        match (self.file, self.held) {
            (Said::Good(number), Held::Surely(held)) if number == held => {
                is_held && content != Some(number) && self.published.contains(&content)
            }
            (Said::Good(number), Held::Perhaps(held)) if number == held => {
                is_held != (content == Some(number)) && self.published.contains(&content)
            }
            (Said::Good(number), _) => !is_held && content == Some(number),
            (Said::Broken, _) => self.published.contains(&content),
        }
    }
}

fn number_of(index: usize) -> u32 {
    u32::try_from(index).expect("there are few control planes")
}
