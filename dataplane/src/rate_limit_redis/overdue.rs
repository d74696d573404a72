//! Which answers are overdue, by the part of the servers that owes them. Nothing here waits or measures time.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use apigw_engine::rate_limit::redis_script::RedisKey;

/// Slots of a cluster (<https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>).
const SLOTS: u16 = 16_384;

/// Into how many parts a cluster is seen divided. Servers hold ranges of slots, so one that has stopped is seen in its
/// parts, and costs the others at most the parts it shares with them.
pub(super) const CLUSTER_PARTS: u16 = 64;

/// Neighbouring slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part(usize);

#[cfg(test)]
impl Part {
    pub(super) fn index(self) -> usize {
        self.0
    }
}

/// Overdue answers of each part.
#[derive(Debug)]
pub(super) struct Overdue(Arc<[AtomicU32]>);

/// One answer that is overdue, until it is dropped.
#[derive(Debug)]
pub(super) struct OverdueAnswer {
    of: Arc<[AtomicU32]>,
    part: Part,
}

impl Overdue {
    /// None overdue, of servers seen in this many parts.
    pub(super) fn new(parts: u16) -> Self {
        Self((0..parts.max(1)).map(|_| AtomicU32::new(0)).collect())
    }

    /// The part that a key belongs to.
    pub(super) fn part_of(&self, key: &RedisKey) -> Part {
        if self.0.len() == 1 {
            return Part(0);
        }
        let slots_of_part = usize::from(SLOTS).div_ceil(self.0.len());
        Part(usize::from(slot(key.as_str())) / slots_of_part)
    }

    pub(super) fn is_any(&self, part: Part) -> bool {
        self.0[part.0].load(Ordering::Relaxed) > 0
    }

    /// Counts an answer as overdue as long as what is given lives.
    pub(super) fn begin(&self, part: Part) -> OverdueAnswer {
        self.0[part.0].fetch_add(1, Ordering::Relaxed);
        OverdueAnswer { of: Arc::clone(&self.0), part }
    }
}

impl Drop for OverdueAnswer {
    fn drop(&mut self) {
        self.of[self.part.0].fetch_sub(1, Ordering::Relaxed);
    }
}

/// The slot of a key: of its hash tag, what stands between the first `{` and the next `}`, if there is one.
fn slot(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    crc16(tag.filter(|tag| !tag.is_empty()).unwrap_or(key).as_bytes()) % SLOTS
}

/// CRC-16/XMODEM, as the cluster's specification has it.
fn crc16(bytes: &[u8]) -> u16 {
    const POLYNOMIAL: u16 = 0x1021;
    bytes.iter().fold(0, |crc, byte| {
        let crc = crc ^ (u16::from(*byte) << 8);
        (0..8).fold(crc, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ POLYNOMIAL })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        for (key, slot_of_key) in [("foo", 12_182), ("apigw:rl:{foo}", 12_182), ("foo{}", slot("foo{}"))] {
            assert_eq!(slot(key), slot_of_key, "{key}");
        }
        assert_ne!(slot("foo{}"), slot("foo"));
    }

    #[test]
    fn answers_are_overdue_in_their_part_as_long_as_they_live() {
        let overdue = Overdue::new(CLUSTER_PARTS);
        let first = overdue.begin(Part(3));
        let second = overdue.begin(Part(3));
        drop(first);
        assert!(overdue.is_any(Part(3)));
        assert!(!overdue.is_any(Part(4)));
        drop(second);
        assert!(!overdue.is_any(Part(3)));
    }
}
