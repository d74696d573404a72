//! Hosts as keys of a table: in any case, and each name above a host in one pass.

use apigw_config::names::HostPattern;

/// How a pattern is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Exactly,
    Beneath,
}

/// A host, or a name above it, and where a pattern for it would lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct HostKey<'h> {
    pub(super) kind: Kind,
    pub(super) name: &'h str,
    pub(super) hash: u64,
}

impl HostKey<'_> {
    pub(super) fn is_of(&self, pattern: &HostPattern) -> bool {
        let kind = match pattern {
            HostPattern::Exactly(_) => Kind::Exactly,
            HostPattern::Beneath(_) => Kind::Beneath,
        };
        kind == self.kind && self.name.eq_ignore_ascii_case(pattern.host())
    }
}

/// The key of a pattern.
pub(super) fn key_of(pattern: &HostPattern) -> HostKey<'_> {
    let (kind, name) = match pattern {
        HostPattern::Exactly(name) => (Kind::Exactly, name),
        HostPattern::Beneath(name) => (Kind::Beneath, name),
    };
    HostKey { kind, name, hash: finish(name.bytes().rev().fold(0, fold), kind) }
}

/// The keys of all patterns that match a host, the widest first: the names above it, from the last label on, and itself.
pub(super) fn keys_of(host: &str) -> impl Iterator<Item = HostKey<'_>> {
    let (mut hash, mut rest, mut is_over) = (0, host.len(), false);
    std::iter::from_fn(move || {
        // From the end, so that each name's hash goes on from that of the name above it.
        while let Some(place) = rest.checked_sub(1) {
            let byte = host.as_bytes()[place];
            let name = HostKey {
                kind: Kind::Beneath,
                name: host.get(rest..).unwrap_or(""),
                hash: finish(hash, Kind::Beneath),
            };
            hash = fold(hash, byte);
            rest = place;
            // Before the dot there is at least one label.
            if byte == b'.' && place > 0 {
                return Some(name);
            }
        }
        let itself = HostKey { kind: Kind::Exactly, name: host, hash: finish(hash, Kind::Exactly) };
        (!std::mem::replace(&mut is_over, true)).then_some(itself)
    })
}

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

fn fold(hash: u64, byte: u8) -> u64 {
    (hash.rotate_left(5) ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(MULTIPLIER)
}

/// Spreads what the last bytes added over all bits: tables look at some of them only.
fn finish(hash: u64, kind: Kind) -> u64 {
    let hash = hash ^ kind as u64;
    (hash ^ hash >> 32).wrapping_mul(MULTIPLIER).rotate_left(26)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_the_keys_of_all_patterns_that_match_it() {
        let keys: Vec<_> = keys_of("A.b.Example.com").map(|key| (key.kind, key.name.to_owned())).collect();
        let expected = [
            (Kind::Beneath, "com"),
            (Kind::Beneath, "Example.com"),
            (Kind::Beneath, "b.Example.com"),
            (Kind::Exactly, "A.b.Example.com"),
        ];
        assert_eq!(keys, expected.map(|(kind, name)| (kind, name.to_owned())));
        for pattern in ["*.com", "*.example.com", "*.b.example.com", "a.b.example.com"] {
            let pattern: HostPattern = pattern.parse().unwrap();
            let found = keys_of("A.b.Example.com").filter(|key| key.is_of(&pattern));
            assert_eq!(found.map(|key| key.hash).collect::<Vec<_>>(), [key_of(&pattern).hash], "{pattern}");
        }
    }

    #[test]
    fn odd_hosts_have_keys_too() {
        let names = |host: &'static str| keys_of(host).map(|key| key.name).collect::<Vec<_>>();
        assert_eq!(names(""), [""]);
        assert_eq!(names(".com"), [".com"]);
        assert_eq!(names("a..b"), ["b", ".b", "a..b"]);
        assert_eq!(names("[::1]"), ["[::1]"]);
    }
}
