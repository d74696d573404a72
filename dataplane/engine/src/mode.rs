//! What follows from a policy's judgement by its mode: enforced, or only watched. What it judges is not known here.

use apigw_config::names::PolicyMode;

/// A policy that is asked: what it judges by, and what follows from its judgement.
#[derive(Debug)]
pub struct Policy<T> {
    rules: T,
    mode: JudgedMode,
}

/// The mode of a policy that is asked at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JudgedMode {
    /// Its rejections hold.
    Enforce,
    /// Its rejections are only told of.
    Shadow,
}

impl JudgedMode {
    /// The word in admin answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
        }
    }
}

/// What became of a request that a policy let pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage<T, R> {
    /// Admitted, with what comes of it (a permit, a known caller).
    Admitted(T),
    /// Passed only because the policy is in shadow mode; the rejection is for log and metrics.
    WouldReject(R),
}

impl<T> Policy<T> {
    /// A policy in a mode. None if it is off: then nobody asks it, and its rules are not even made.
    pub fn new(mode: PolicyMode, rules: impl FnOnce() -> T) -> Option<Self> {
        let mode = match mode {
            PolicyMode::Enforce => JudgedMode::Enforce,
            PolicyMode::Shadow => JudgedMode::Shadow,
            PolicyMode::Off => return None,
        };
        Some(Self { rules: rules(), mode })
    }

    /// What it judges by.
    pub fn rules(&self) -> &T {
        &self.rules
    }

    /// What follows from its judgements.
    pub fn mode(&self) -> JudgedMode {
        self.mode
    }

    /// Turns the judgement of this policy's rules into what happens.
    ///
    /// # Errors
    /// The rejection, if the policy is enforced.
    pub fn apply<A, R>(&self, judgement: Result<A, R>) -> Result<Passage<A, R>, R> {
        match (judgement, self.mode) {
            (Ok(admitted), _) => Ok(Passage::Admitted(admitted)),
            (Err(rejection), JudgedMode::Enforce) => Err(rejection),
            (Err(rejection), JudgedMode::Shadow) => Ok(Passage::WouldReject(rejection)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADMITS: Result<&str, &str> = Ok("permit");
    const REJECTS: Result<&str, &str> = Err("full");

    fn policy(mode: PolicyMode) -> Policy<()> {
        Policy::new(mode, || ()).unwrap()
    }

    #[test]
    fn an_enforced_policy_decides() {
        let policy = policy(PolicyMode::Enforce);
        assert_eq!(policy.apply(ADMITS), Ok(Passage::Admitted("permit")));
        assert_eq!(policy.apply(REJECTS), Err("full"));
    }

    #[test]
    fn a_shadow_lets_pass_and_keeps_the_rejection() {
        let policy = policy(PolicyMode::Shadow);
        assert_eq!(policy.apply(ADMITS), Ok(Passage::Admitted("permit")));
        assert_eq!(policy.apply(REJECTS), Ok(Passage::WouldReject("full")));
    }

    #[test]
    fn a_policy_that_is_off_is_not_even_made() {
        assert!(Policy::new(PolicyMode::Off, || -> () { panic!("it was made") }).is_none());
    }
}
