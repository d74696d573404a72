//! Whether a client's address may use a route: `deny_cidrs` first, then `allow_cidrs`. Which address is the client's is
//! not decided here.
//!
//! The rule, of which the sorted lists are only a fast form: what a denied range contains is refused; if there are
//! allowed ranges, what none of them contains is refused too. A range contains what `AddressRange::contains` says: an
//! IPv4-mapped address counts as the IPv4 address, and a range of one family contains none of the other, so `::/0`
//! denies no IPv4 client.

use std::net::IpAddr;

use apigw_config::names::AddressRange;

/// Allowed and denied ranges, ready to be asked. The cost of asking is the logarithm of their number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddressList {
    denied: Ranges,
    /// None: everybody who is not denied.
    allowed: Option<Ranges>,
}

/// Why an address may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressRefusal {
    /// A denied range contains it.
    #[error("the address is denied")]
    Denied,
    /// There are allowed ranges, and none contains it.
    #[error("the address is not among the allowed")]
    NotAllowed,
}

impl AddressRefusal {
    /// Stable code for logs and metrics.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Denied => "address_denied",
            Self::NotAllowed => "address_not_allowed",
        }
    }
}

impl AddressList {
    /// Takes `allow_cidrs` (empty: everybody) and `deny_cidrs`.
    #[must_use]
    pub fn new(allow: &[AddressRange], deny: &[AddressRange]) -> Self {
        let allowed = (!allow.is_empty()).then(|| Ranges::new(allow));
        Self { denied: Ranges::new(deny), allowed }
    }

    /// Judges a client's address.
    ///
    /// # Errors
    /// When it may not.
    pub fn admit(&self, client: IpAddr) -> Result<(), AddressRefusal> {
        let client = client.to_canonical();
        if self.denied.contain(client) {
            return Err(AddressRefusal::Denied);
        }
        match &self.allowed {
            Some(allowed) if !allowed.contain(client) => Err(AddressRefusal::NotAllowed),
            _ => Ok(()),
        }
    }
}

/// First and last addresses of ranges that do not overlap, in ascending order. Every IPv4 address is below every IPv6 one,
/// so one list holds both, and no range reaches from one family into the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Ranges(Box<[(IpAddr, IpAddr)]>);

impl Ranges {
    fn new(ranges: &[AddressRange]) -> Self {
        let mut ends: Vec<_> = ranges.iter().map(|range| (range.first(), range.last())).collect();
        ends.sort_unstable();
        let mut disjoint: Vec<(IpAddr, IpAddr)> = Vec::with_capacity(ends.len());
        for (first, last) in ends {
            match disjoint.last_mut() {
                Some(before) if first <= before.1 => before.1 = before.1.max(last),
                _ => disjoint.push((first, last)),
            }
        }
        Self(disjoint.into())
    }

    /// Only the last range that begins at or below the address can contain it.
    fn contain(&self, address: IpAddr) -> bool {
        let begun = self.0.partition_point(|(first, _)| *first <= address);
        self.0[..begun].last().is_some_and(|(_, last)| address <= *last)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranges(texts: &[&str]) -> Vec<AddressRange> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn check(allow: &[&str], deny: &[&str], client: &str, expected: Result<(), AddressRefusal>) {
        let list = AddressList::new(&ranges(allow), &ranges(deny));
        assert_eq!(list.admit(client.parse().unwrap()), expected, "{client}, allow {allow:?}, deny {deny:?}");
    }

    const DENIED: Result<(), AddressRefusal> = Err(AddressRefusal::Denied);
    const NOT_ALLOWED: Result<(), AddressRefusal> = Err(AddressRefusal::NotAllowed);

    #[test]
    fn empty_lists_admit_everybody() {
        check(&[], &[], "192.0.2.1", Ok(()));
        check(&[], &[], "2001:db8::1", Ok(()));
    }

    #[test]
    fn deny_wins_over_allow() {
        check(&["10.0.0.0/8"], &["10.1.0.0/16"], "10.1.2.3", DENIED);
        check(&["10.1.2.3"], &["10.0.0.0/8"], "10.1.2.3", DENIED);
        check(&["10.0.0.0/8"], &["10.1.0.0/16"], "10.2.0.1", Ok(()));
    }

    #[test]
    fn an_allow_list_refuses_everybody_else() {
        check(&["10.0.0.0/8"], &[], "11.0.0.1", NOT_ALLOWED);
        check(&["10.0.0.0/8"], &[], "2001:db8::1", NOT_ALLOWED);
        check(&["2001:db8::/32"], &[], "10.0.0.1", NOT_ALLOWED);
    }

    #[test]
    fn both_ends_of_a_range_are_in_it() {
        for inside in ["10.1.0.0", "10.1.255.255"] {
            check(&[], &["10.1.0.0/16"], inside, DENIED);
        }
        for outside in ["10.0.255.255", "10.2.0.0"] {
            check(&[], &["10.1.0.0/16"], outside, Ok(()));
        }
        for everything in ["0.0.0.0", "255.255.255.255"] {
            check(&[], &["0.0.0.0/0"], everything, DENIED);
        }
    }

    #[test]
    fn a_range_counts_whatever_host_bits_are_written() {
        check(&[], &["10.1.2.3/16"], "10.1.0.1", DENIED);
        check(&[], &["2001:db8::5/32"], "2001:db8:1::", DENIED);
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address_on_both_sides() {
        check(&[], &["10.0.0.0/8"], "::ffff:10.0.0.1", DENIED);
        check(&[], &["::ffff:10.0.0.0/104"], "10.0.0.1", DENIED);
        check(&["::ffff:10.0.0.1"], &[], "::ffff:10.0.0.1", Ok(()));
    }

    #[test]
    fn all_of_one_family_is_nobody_of_the_other() {
        check(&[], &["::/0"], "10.0.0.1", Ok(()));
        check(&[], &["0.0.0.0/0"], "2001:db8::1", Ok(()));
    }

    #[test]
    fn a_wide_range_is_not_hidden_by_the_narrow_ones_within() {
        check(&[], &["10.0.0.0/8", "10.0.0.0/24", "10.0.1.0/24"], "10.200.0.1", DENIED);
        check(&[], &["10.0.0.0/24", "10.0.0.5", "10.0.0.7"], "10.0.0.9", DENIED);
    }

    /// Few distinct bits, so that ranges nest, touch and are hit.
    fn any_address() -> impl Strategy<Value = IpAddr> {
        let v4 = (0..4_u8, 0..4_u8, prop::sample::select(vec![0_u8, 1, 127, 128, 254, 255]))
            .prop_map(|(a, b, c)| IpAddr::from([10, a, b, c]));
        let v6 = (0..3_u16, prop::sample::select(vec![0_u16, 1, 0x7fff, 0x8000, 0xffff]))
            .prop_map(|(a, b)| IpAddr::from([0x2001, 0xdb8, a, 0, 0, 0, 0, b]));
        let mapped = v4.clone().prop_map(|address| match address {
            IpAddr::V4(address) => IpAddr::V6(address.to_ipv6_mapped()),
            IpAddr::V6(_) => address,
        });
        prop_oneof![v4, v6, mapped]
    }

    fn any_range() -> impl Strategy<Value = AddressRange> {
        (any_address(), 0..=128_u8).prop_map(|(address, bits)| {
            let bits = if address.is_ipv4() { bits / 4 } else { bits };
            format!("{address}/{bits}").parse().unwrap()
        })
    }

    /// The rule of the module's head, as plain as it can be written.
    fn linear_scan(
        allow: &[AddressRange],
        deny: &[AddressRange],
        client: IpAddr,
    ) -> Result<(), AddressRefusal> {
        let is_in = |ranges: &[AddressRange]| ranges.iter().any(|range| range.contains(client));
        match () {
            () if is_in(deny) => DENIED,
            () if !allow.is_empty() && !is_in(allow) => NOT_ALLOWED,
            () => Ok(()),
        }
    }

    proptest! {
        #[test]
        fn sorted_lists_are_a_linear_scan(
            allow in prop::collection::vec(any_range(), 0..8),
            deny in prop::collection::vec(any_range(), 0..8),
            clients in prop::collection::vec(any_address(), 1..20),
        ) {
            let list = AddressList::new(&allow, &deny);
            for client in clients {
                prop_assert_eq!(list.admit(client), linear_scan(&allow, &deny, client), "{}", client);
            }
        }
    }
}
