//! What the others of its backend have to know of an endpoint, and how many of them are how.

use super::WHOLE;

/// What others have to know of a condition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) standing: &'static str,
    pub(super) share: u32,
    pub(super) last_resort: u32,
    pub(super) is_ejected: bool,
    pub(super) is_well: bool,
    pub(super) is_draining: bool,
}

impl Shape {
    /// Of one that is well, or has left.
    pub(super) const WHOLE: Self = Self {
        standing: "healthy",
        share: WHOLE,
        last_resort: WHOLE,
        is_ejected: false,
        is_well: true,
        is_draining: false,
    };
}

/// How many endpoints of a backend are how. Locked behind the condition of one of them.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Take nothing.
    pub(super) out: usize,
    pub(super) ejected: usize,
    pub(super) draining: usize,
}

impl Counts {
    pub(super) fn replace(&mut self, before: &Shape, after: &Shape) {
        self.out = self.out + usize::from(after.share == 0) - usize::from(before.share == 0);
        self.ejected = self.ejected + usize::from(after.is_ejected) - usize::from(before.is_ejected);
        self.draining = self.draining + usize::from(after.is_draining) - usize::from(before.is_draining);
    }
}
