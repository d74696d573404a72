//! Campaigns: whatever dies, breaks or is damaged in whatever order, each side believes what it may, and nobody notices.
//!
//! A campaign is a sequence of steps that its seed decides. After each step a model says what each side may believe, and
//! what it must, once it is left alone; all the while clients ask the data planes. A failure prints the seed and the steps.
//! `CAMPAIGN_SEED` and `CAMPAIGN_STEPS` make a longer one, as `docs/DEVELOPMENT.md` says.

// What a file says, and what answers tell of it.
mod content;
// What may be believed.
mod model;
// What happens.
mod step;
// To whom it happens.
mod stage;
// One after the other.
mod campaign;

use std::env;

use self::campaign::Campaign;

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}")))
}

fn walk(seed: u64) {
    let seed = number("CAMPAIGN_SEED").map_or(seed, |first| first + seed);
    Campaign::new(seed).walk(number("CAMPAIGN_STEPS").unwrap_or(16));
}

#[test]
fn nobody_believes_what_he_may_not_in_a_first_campaign() {
    walk(0);
}

#[test]
fn nobody_believes_what_he_may_not_in_a_second_campaign() {
    walk(1);
}
