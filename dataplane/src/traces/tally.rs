//! What became of spans, counted. Written when many are handed over at once, never for each request.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why spans were not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// They came faster than they could be sent.
    QueueFull,
    /// The collector could not be told.
    ExportFailed,
    /// The collector did not want them.
    Refused,
}

impl Loss {
    pub(crate) const ALL: [Self; 3] = [Self::QueueFull, Self::ExportFailed, Self::Refused];

    /// As metrics name it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::ExportFailed => "export_failed",
            Self::Refused => "refused",
        }
    }
}

/// How many spans were told, and how many were not.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    exported: AtomicU64,
    /// In the order of [`Loss::ALL`].
    lost: [AtomicU64; Loss::ALL.len()],
}

impl Tally {
    pub(super) fn export(&self, spans: u64) {
        self.exported.fetch_add(spans, Ordering::Relaxed);
    }

    pub(super) fn lose(&self, loss: Loss, spans: u64) {
        self.lost[loss as usize].fetch_add(spans, Ordering::Relaxed);
    }

    /// How many were told.
    pub(crate) fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    /// How many were not, for this reason.
    pub(crate) fn lost(&self, loss: Loss) -> u64 {
        self.lost[loss as usize].load(Ordering::Relaxed)
    }
}
