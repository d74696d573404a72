//! Steps, one after the other, and what must hold after each.

use std::{sync::Mutex, thread};

use apigw_tests::waiting::{DEADLINE, within};
use rustix::process::Signal;

use super::{
    content,
    model::{CONTROL_PLANES, DATA_PLANES, Model, Process, Said},
    stage::{Place, Stage},
    step::{self, Ending, Step},
};

pub(crate) struct Campaign {
    random: fastrand::Rng,
    model: Model,
    stage: Stage,
    diary: Diary,
}

/// What has happened; told when the campaign fails.
struct Diary {
    seed: u64,
    steps: Vec<String>,
}

impl Drop for Diary {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- campaign of CAMPAIGN_SEED={}:", self.seed);
            self.steps.iter().enumerate().for_each(|(index, step)| eprintln!("{index:5}: {step}"));
        }
    }
}

impl Campaign {
    pub(crate) fn new(seed: u64) -> Self {
        let diary = Diary { seed, steps: Vec::new() };
        Self { random: fastrand::Rng::with_seed(seed), model: Model::new(), stage: Stage::new(), diary }
    }

    pub(crate) fn walk(mut self, steps: u64) {
        self.allow();
        self.settle();
        for _ in 0..steps {
            let step = step::next(&mut self.random, &mut self.model);
            self.diary.steps.push(format!("{step:?}"));
            self.take(step);
            self.settle();
        }
        // In the end everything is left alone and well.
        for control in 0..CONTROL_PLANES {
            match self.model.control[control].process {
                Process::Down => self.take(Step::StartControlPlane { control }),
                Process::Paused => self.take(Step::ResumeControlPlane { control }),
                Process::Up => {}
            }
            let number = self.model.fresh();
            self.take(Step::Save { control, number });
        }
        for data in 0..DATA_PLANES {
            match self.model.data[data].process {
                Process::Down => self.take(Step::StartDataPlane { data }),
                Process::Paused => self.take(Step::ResumeDataPlane { data }),
                Process::Up => {}
            }
            self.take(Step::Weather { data, weather: apigw_tests::network::Weather::Clear });
        }
        self.settle();
        self.stage.followers.iter_mut().for_each(|follower| follower.end(Ending::Terminated));
        self.stage.commanders.iter_mut().for_each(|commander| commander.end(Ending::Terminated));
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Save { .. }
            | Step::SaveComment { .. }
            | Step::SaveBroken { .. }
            | Step::SaveMany { .. }
            | Step::SaveAndKill { .. }
            | Step::SaveAndKillDataPlane { .. } => self.save(step),
            Step::RollBack { .. } | Step::RollBackAndKill { .. } => self.roll_back(step),
            Step::EndControlPlane { .. }
            | Step::StartControlPlane { .. }
            | Step::PauseControlPlane { .. }
            | Step::ResumeControlPlane { .. }
            | Step::DamageHistory { .. } => self.happen_to_control_plane(step),
            Step::EndDataPlane { .. }
            | Step::StartDataPlane { .. }
            | Step::PauseDataPlane { .. }
            | Step::ResumeDataPlane { .. }
            | Step::DamageSlot { .. }
            | Step::DamageBothSlots { .. }
            | Step::Weather { .. }
            | Step::Follow { .. } => self.happen_to_data_plane(step),
        }
    }

    fn save(&mut self, step: Step) {
        match step {
            Step::Save { control, number } => self.save_good(control, number),
            Step::SaveComment { control, number, comment } => {
                self.model.save(control, Said::Good(number));
                self.allow();
                let text = content::commented(number, &self.stage.origin, comment);
                self.stage.commanders[control].file.save(text);
            }
            Step::SaveBroken { control, kind } => {
                self.model.save(control, Said::Broken);
                self.stage.commanders[control].file.save(content::broken(kind, &self.stage.origin));
            }
            Step::SaveMany { control, last, count } => {
                (last + 1 - count..=last).for_each(|number| self.save_good(control, number));
            }
            Step::SaveAndKill { control, number, after } => {
                self.save_good(control, number);
                // Not to know something: this is the moment that the seed has chosen.
                thread::sleep(after);
                self.stage.commanders[control].end(Ending::Killed);
                self.model.control_process(control, Process::Down);
            }
            Step::SaveAndKillDataPlane { control, number, data, after } => {
                self.save_good(control, number);
                thread::sleep(after);
                self.stage.followers[data].is_killed();
                self.model.data_process(data, Process::Down);
            }
            _ => {}
        }
    }

    fn save_good(&mut self, control: usize, number: u32) {
        self.model.save(control, Said::Good(number));
        self.allow();
        self.stage.commanders[control].file.save(content::good(number, &self.stage.origin));
    }

    fn roll_back(&mut self, step: Step) {
        let (Step::RollBack { control, by } | Step::RollBackAndKill { control, by, .. }) = step else {
            return;
        };
        let past = self.stage.history(control);
        let Some(&(place, number)) = past.get(by.min(past.len().saturating_sub(1))) else { return };
        if let Step::RollBackAndKill { after, .. } = step {
            let asking = self.stage.commanders[control].ask_for_rollback(place);
            self.model.roll_back_and_die(control, number);
            self.allow();
            thread::sleep(after);
            self.stage.commanders[control].end(Ending::Killed);
            drop(asking);
        } else {
            self.diary.steps.push(format!("  to {place:?}, which is {number}"));
            self.model.roll_back(control, number);
            self.allow();
            self.roll_back_to(control, place);
        }
    }

    fn roll_back_to(&mut self, control: usize, place: Place) {
        self.stage.commanders[control].roll_back(place);
        let (status, number) = self.stage.published(control);
        let published = &self.model.control[control].published;
        assert!(published.contains(&number), "rolled back to {number:?}, not {published:?}: {status}");
    }

    fn happen_to_control_plane(&mut self, step: Step) {
        match step {
            Step::EndControlPlane { control, ending } => {
                self.stage.commanders[control].end(ending);
                self.model.control_process(control, Process::Down);
            }
            Step::StartControlPlane { control } => {
                self.model.control_process(control, Process::Up);
                self.allow();
                self.stage.commanders[control].start();
                self.lead();
            }
            Step::PauseControlPlane { control } => {
                let process = self.stage.commanders[control].process.as_ref().expect("it runs");
                process.program().signal(Signal::STOP);
                self.model.control_process(control, Process::Paused);
            }
            Step::ResumeControlPlane { control } => {
                self.model.control_process(control, Process::Up);
                self.allow();
                let process = self.stage.commanders[control].process.as_ref().expect("it is paused");
                process.program().signal(Signal::CONT);
            }
            Step::DamageHistory { control, file, damage } => {
                self.model.damage_history(control);
                self.stage.commanders[control].damage(file, damage);
            }
            _ => {}
        }
    }

    fn happen_to_data_plane(&mut self, step: Step) {
        match step {
            Step::EndDataPlane { data, ending } => {
                self.stage.followers[data].end(ending);
                match ending {
                    Ending::Killed => self.model.data_process(data, Process::Down),
                    Ending::Terminated => self.model.end_data_plane(data),
                }
            }
            Step::StartDataPlane { data } => {
                self.model.data_process(data, Process::Up);
                self.allow();
                self.stage.followers[data].start();
            }
            Step::PauseDataPlane { data } => {
                let process = self.stage.followers[data].process.as_ref().expect("it runs");
                process.program().signal(Signal::STOP);
                self.model.data_process(data, Process::Paused);
            }
            Step::ResumeDataPlane { data } => {
                self.model.data_process(data, Process::Up);
                self.allow();
                let process = self.stage.followers[data].process.as_ref().expect("it is paused");
                process.program().signal(Signal::CONT);
            }
            Step::DamageSlot { data, slot, damage } => {
                self.model.damage_slot(data);
                self.stage.followers[data].damage(&[slot], damage);
            }
            Step::DamageBothSlots { data, damage } => {
                self.model.damage_both_slots(data);
                self.stage.followers[data].damage(&[0, 1], damage);
            }
            Step::Weather { data, weather } => {
                self.model.weather(data, weather);
                self.allow();
                self.stage.followers[data].network.set(weather);
            }
            Step::Follow { data, control } => {
                self.model.follow(data, control);
                self.allow();
                self.lead();
            }
            _ => {}
        }
    }

    /// Lets clients meet what the model says may run.
    fn allow(&mut self) {
        for (follower, side) in self.stage.followers.iter_mut().zip(&self.model.data) {
            follower.allow(&side.runs);
        }
    }

    /// Leads each network to the control plane that its data plane follows; one that is down has no address.
    fn lead(&mut self) {
        for (follower, side) in self.stage.followers.iter_mut().zip(&self.model.data) {
            let commander = &self.stage.commanders[side.follows];
            let nowhere = apigw_tests::origin::refusing();
            follower.network.lead_to(commander.process.as_ref().map_or(nowhere, |_| commander.address()));
        }
    }

    /// Waits until everybody who is left alone believes what he must, and judges that.
    fn settle(&mut self) {
        for control in 0..CONTROL_PLANES {
            if self.model.control[control].process == Process::Up {
                self.settle_control_plane(control);
            }
        }
        for data in 0..DATA_PLANES {
            if self.model.data[data].process == Process::Up {
                self.settle_data_plane(data);
            }
        }
    }

    fn settle_control_plane(&mut self, control: usize) {
        let last = Mutex::new(String::new());
        let side = self.model.control[control].clone();
        let seen = within(DEADLINE, || {
            let (status, content) = self.stage.published(control);
            let told = &status["control_plane"];
            let (is_rejected, is_held) =
                (told["rejected_file"].is_object(), told["held_back_file"].is_object());
            if let Ok(mut last) = last.lock() {
                *last = format!("{content:?} {status:#}");
            }
            let is_meant = is_rejected == (side.file == Said::Broken) && side.admits(content, is_held);
            is_meant.then_some(content)
        });
        let content = seen.unwrap_or_else(|| panic!("control plane {control} should be {side:?}: {last:?}"));
        self.model.seen_published(control, content);
        let _ = self.stage.history(control);
    }

    fn settle_data_plane(&mut self, data: usize) {
        let side = &self.model.data[data];
        let leader = self.model.leader(data);
        let published = leader.and_then(|control| {
            Some((control, self.model.control[control].published.first().copied().flatten()?))
        });
        if let Some((control, number)) = published {
            self.stage.agrees(data, control, number);
            self.model.seen_running(data, number);
            self.stage.followers[data].load();
            self.stage.followers[data].is_asked();
            self.allow();
        } else if !side.runs.contains(&None) || self.stage.followers[data].found_something() {
            let runs = side.runs.clone();
            let follower = &mut self.stage.followers[data];
            let number = apigw_tests::waiting::eventually("it serves", || follower.answer().ok());
            assert!(runs.contains(&Some(number)), "data plane {data} runs {number}, where {runs:?} may be");
            follower.load();
            follower.is_asked();
        }
    }
}
