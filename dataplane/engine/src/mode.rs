//! What follows from a policy's judgement by its mode: enforced, only watched, or off. What it judges is not known here.

use apigw_config::names::PolicyMode;

/// What became of a request that a policy let pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage<T, R> {
    /// Admitted, with what comes of it (a permit, a known caller).
    Admitted(T),
    /// Passed only because the policy is in shadow mode; the rejection is for log and metrics.
    WouldReject(R),
    /// Not judged.
    NotJudged,
}

/// Asks a policy, as far as its mode has it asked, and turns its judgement into what happens.
///
/// # Errors
/// The policy's rejection, if it is enforced.
pub fn judge<T, R>(mode: PolicyMode, policy: impl FnOnce() -> Result<T, R>) -> Result<Passage<T, R>, R> {
    match mode {
        PolicyMode::Enforce => policy().map(Passage::Admitted),
        PolicyMode::Shadow => Ok(policy().map_or_else(Passage::WouldReject, Passage::Admitted)),
        PolicyMode::Off => Ok(Passage::NotJudged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADMITS: Result<&str, &str> = Ok("permit");
    const REJECTS: Result<&str, &str> = Err("full");

    #[test]
    fn an_enforced_policy_decides() {
        assert_eq!(judge(PolicyMode::Enforce, || ADMITS), Ok(Passage::Admitted("permit")));
        assert_eq!(judge(PolicyMode::Enforce, || REJECTS), Err("full"));
    }

    #[test]
    fn a_shadow_lets_pass_and_keeps_the_rejection() {
        assert_eq!(judge(PolicyMode::Shadow, || ADMITS), Ok(Passage::Admitted("permit")));
        assert_eq!(judge(PolicyMode::Shadow, || REJECTS), Ok(Passage::WouldReject("full")));
    }

    #[test]
    fn a_policy_that_is_off_is_not_asked() {
        let passage = judge(PolicyMode::Off, || -> Result<(), ()> { panic!("it was asked") });
        assert_eq!(passage, Ok(Passage::NotJudged));
    }
}
