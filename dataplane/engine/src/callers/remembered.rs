//! Passwords that were judged before, so that a caller pays once for what takes long. A bounded set of fingerprints, apart for
//! those that were right and those that were wrong: a flood of guesses makes nobody pay again.

use std::collections::HashSet;

use super::basic::Fingerprint;

/// What became of a guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the password.
    Right,
    /// It is not.
    Wrong,
}

/// Guesses that were judged. They never change: a hash that changes in the file makes other guesses.
#[derive(Debug)]
pub struct JudgedGuesses {
    right: Recent,
    wrong: Recent,
}

impl JudgedGuesses {
    /// Remembers as many of each kind.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { right: Recent::new(limit), wrong: Recent::new(limit) }
    }

    /// What became of a guess, if it is remembered.
    pub fn recall(&mut self, guess: Fingerprint) -> Option<Verdict> {
        if self.right.recall(guess) {
            return Some(Verdict::Right);
        }
        self.wrong.recall(guess).then_some(Verdict::Wrong)
    }

    /// Remembers what became of a guess.
    pub fn remember(&mut self, guess: Fingerprint, verdict: Verdict) {
        match verdict {
            Verdict::Right => self.right.insert(guess),
            Verdict::Wrong => self.wrong.insert(guess),
        }
    }
}

/// A bounded set that forgets what was not asked for lately: in two halves, of which the older goes when the younger is full.
#[derive(Debug)]
struct Recent {
    /// At least 1.
    half: usize,
    young: HashSet<Fingerprint>,
    old: HashSet<Fingerprint>,
}

impl Recent {
    fn new(limit: usize) -> Self {
        Self { half: (limit / 2).max(1), young: HashSet::new(), old: HashSet::new() }
    }

    fn recall(&mut self, guess: Fingerprint) -> bool {
        if self.young.contains(&guess) {
            return true;
        }
        let is_old = self.old.remove(&guess);
        if is_old {
            self.insert(guess);
        }
        is_old
    }

    fn insert(&mut self, guess: Fingerprint) {
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(guess);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(limit: usize, verdicts: &[(u16, Verdict)]) -> JudgedGuesses {
        let mut judged = JudgedGuesses::new(limit);
        for (number, verdict) in verdicts {
            judged.remember(Fingerprint::numbered(*number), *verdict);
        }
        judged
    }

    #[test]
    fn what_was_judged_is_remembered() {
        let mut judged = judged(10, &[(1, Verdict::Right), (2, Verdict::Wrong)]);
        let mut recall = |number| judged.recall(Fingerprint::numbered(number));
        assert_eq!((recall(1), recall(2), recall(3)), (Some(Verdict::Right), Some(Verdict::Wrong), None));
    }

    #[test]
    fn no_more_is_remembered_than_the_limit() {
        let mut judged = JudgedGuesses::new(10);
        for number in 0..1_000 {
            judged.remember(Fingerprint::numbered(number), Verdict::Wrong);
            assert!(judged.wrong.young.len() + judged.wrong.old.len() <= 10);
        }
        assert_eq!(judged.recall(Fingerprint::numbered(999)), Some(Verdict::Wrong));
        assert_eq!(judged.recall(Fingerprint::numbered(989)), None);
    }

    #[test]
    fn wrong_guesses_push_out_no_right_one() {
        let mut judged = judged(10, &[(1, Verdict::Right)]);
        for number in 2..1_000 {
            judged.remember(Fingerprint::numbered(number), Verdict::Wrong);
        }
        assert_eq!(judged.recall(Fingerprint::numbered(1)), Some(Verdict::Right));
    }

    #[test]
    fn who_comes_again_stays() {
        let mut judged = judged(10, &[(0, Verdict::Right)]);
        for number in 1..1_000 {
            judged.remember(Fingerprint::numbered(number), Verdict::Right);
            assert_eq!(judged.recall(Fingerprint::numbered(0)), Some(Verdict::Right), "{number}");
        }
    }
}
