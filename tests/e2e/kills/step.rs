//! What can happen to a fleet, and what of it happens next.

use std::time::Duration;

use apigw_tests::network::Weather;

use super::model::{CONTROL_PLANES, DATA_PLANES, Held, Model, Process, Said};

/// How a process comes to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Killed,
    Terminated,
}

/// How a file is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    Flipped,
    CutOff,
    Emptied,
    Removed,
}

/// One thing that happens; control planes and data planes are named by their indexes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    Save {
        control: usize,
        number: u32,
    },
    SaveComment {
        control: usize,
        number: u32,
        comment: u64,
    },
    SaveBroken {
        control: usize,
        kind: u8,
    },
    /// Contents up to this one, as fast as they can be written.
    SaveMany {
        control: usize,
        last: u32,
        count: u32,
    },
    /// A content, and the end of who publishes it, so much later.
    SaveAndKill {
        control: usize,
        number: u32,
        after: Duration,
    },
    /// A content, and the end of who applies it, so much later.
    SaveAndKillDataPlane {
        control: usize,
        number: u32,
        data: usize,
        after: Duration,
    },
    /// To what ran so many revisions ago.
    RollBack {
        control: usize,
        by: usize,
    },
    RollBackAndKill {
        control: usize,
        by: usize,
        after: Duration,
    },
    EndControlPlane {
        control: usize,
        ending: Ending,
    },
    StartControlPlane {
        control: usize,
    },
    PauseControlPlane {
        control: usize,
    },
    ResumeControlPlane {
        control: usize,
    },
    DamageHistory {
        control: usize,
        file: usize,
        damage: Damage,
    },
    EndDataPlane {
        data: usize,
        ending: Ending,
    },
    StartDataPlane {
        data: usize,
    },
    PauseDataPlane {
        data: usize,
    },
    ResumeDataPlane {
        data: usize,
    },
    DamageSlot {
        data: usize,
        slot: usize,
        damage: Damage,
    },
    DamageBothSlots {
        data: usize,
        damage: Damage,
    },
    Weather {
        data: usize,
        weather: Weather,
    },
    Follow {
        data: usize,
        control: usize,
    },
}

/// What happens next: of what can happen, so that all kinds are met.
pub(crate) fn next(random: &mut fastrand::Rng, model: &mut Model) -> Step {
    loop {
        let control = random.usize(..CONTROL_PLANES);
        let data = random.usize(..DATA_PLANES);
        // What is down comes back soon, or most of a campaign would be of what is not there; what is paused sooner, or its
        // clients would give up.
        let (process, other) = (model.control[control].process, model.data[data].process);
        if random.bool() {
            match (process, other) {
                (Process::Paused, _) => return Step::ResumeControlPlane { control },
                (_, Process::Paused) => return Step::ResumeDataPlane { data },
                _ => {}
            }
        }
        if random.u8(..3) == 0 {
            match (process, other) {
                (Process::Down, _) => return Step::StartControlPlane { control },
                (_, Process::Down) => return Step::StartDataPlane { data },
                _ => {}
            }
        }
        if let Some(step) =
            of_control_plane(random, model, control).or_else(|| of_data_plane(random, model, data))
        {
            return step;
        }
    }
}

fn of_control_plane(random: &mut fastrand::Rng, model: &mut Model, control: usize) -> Option<Step> {
    let side = model.control[control].clone();
    let is_up = side.process == Process::Up;
    // Who is paused may see all or some of what is saved meanwhile; with one content he sees that one.
    let may_save = side.process != Process::Paused;
    let after = Duration::from_micros(random.u64(..60_000));
    let by = random.usize(1..6);
    Some(match random.u8(..24) {
        0 | 1 if may_save => Step::Save { control, number: model.fresh() },
        2 if side.process == Process::Paused && side.held == Held::Nothing => {
            Step::Save { control, number: model.fresh() }
        }
        3 if may_save => match side.file {
            Said::Good(number) => Step::SaveComment { control, number, comment: random.u64(..) },
            Said::Broken => return None,
        },
        4 if may_save => Step::SaveBroken { control, kind: random.u8(..5) },
        5 if may_save && side.held == Held::Nothing => {
            let count = random.u32(2..8);
            model.next += count;
            Step::SaveMany { control, last: model.next - 1, count }
        }
        6 | 7 if is_up && side.held == Held::Nothing => {
            Step::SaveAndKill { control, number: model.fresh(), after }
        }
        8 if is_up => {
            let up = (0..DATA_PLANES).find(|&data| model.data[data].process == Process::Up)?;
            Step::SaveAndKillDataPlane { control, number: model.fresh(), data: up, after }
        }
        9 | 10 if is_up => Step::RollBack { control, by },
        11 if is_up && side.held == Held::Nothing => Step::RollBackAndKill { control, by, after },
        12 if is_up => Step::EndControlPlane { control, ending: ending(random) },
        13 if is_up => Step::PauseControlPlane { control },
        14 | 15 if side.process == Process::Down => {
            Step::DamageHistory { control, file: random.usize(..), damage: damage(random) }
        }
        _ => return None,
    })
}

fn of_data_plane(random: &mut fastrand::Rng, model: &Model, data: usize) -> Option<Step> {
    let side = &model.data[data];
    let is_up = side.process == Process::Up;
    let is_down = side.process == Process::Down;
    Some(match random.u8(..10) {
        0 if is_up => Step::EndDataPlane { data, ending: ending(random) },
        1 if is_up => Step::PauseDataPlane { data },
        2 if is_down => Step::DamageSlot { data, slot: random.usize(..2), damage: damage(random) },
        3 if is_down => Step::DamageBothSlots { data, damage: damage(random) },
        4 => Step::Follow { data, control: (side.follows + 1) % CONTROL_PLANES },
        5..8 if side.weather != Weather::Clear => Step::Weather { data, weather: Weather::Clear },
        6 | 7 => Step::Weather { data, weather: weather(random) },
        _ => return None,
    })
}

fn ending(random: &mut fastrand::Rng) -> Ending {
    if random.bool() { Ending::Killed } else { Ending::Terminated }
}

fn damage(random: &mut fastrand::Rng) -> Damage {
    match random.u8(..4) {
        0 => Damage::Flipped,
        1 => Damage::CutOff,
        2 => Damage::Emptied,
        _ => Damage::Removed,
    }
}

fn weather(random: &mut fastrand::Rng) -> Weather {
    match random.u8(..4) {
        0 => Weather::Slow(Duration::from_millis(random.u64(1..40))),
        1 => Weather::Silent,
        2 => Weather::CutAfter(random.u64(1..40_000)),
        _ => Weather::CutOnceAfter(random.u64(1..40_000)),
    }
}
