//! Headers as proxies send them, and as nobody should.

use proptest::prelude::*;

use super::*;

fn complete(length: usize, client: Option<&str>) -> ProxyHeader {
    let client = client.map_or(ProxiedClient::Unknown, |address| {
        ProxiedClient::Address(address.parse().expect("an address"))
    });
    ProxyHeader::Complete { length, client }
}

fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("a length that can be written").to_be_bytes();
    [SIGNATURE, &[command, family][..], &length, rest].concat()
}

const IPV4: [u8; 12] = [203, 0, 113, 9, 192, 0, 2, 1, 0x1f, 0x90, 0x01, 0xbb];

fn ipv6() -> Vec<u8> {
    let address = |text: &str| text.parse::<Ipv6Addr>().expect("an address").octets();
    [&address("2001:db8::9")[..], &address("2001:db8::1"), &[0x1f, 0x90, 0x01, 0xbb]].concat()
}

#[test]
fn a_line_names_the_client() {
    for (text, client) in [
        ("PROXY TCP4 203.0.113.9 192.0.2.1 56324 443\r\n", Some("203.0.113.9")),
        ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", Some("255.255.255.255")),
        ("PROXY TCP4 203.0.113.9 192.0.2.1 0 0\r\n", Some("203.0.113.9")),
        ("PROXY TCP6 2001:db8::9 2001:db8::1 56324 443\r\n", Some("2001:db8::9")),
        ("PROXY TCP6 ::ffff:203.0.113.9 ::1 56324 443\r\n", Some("::ffff:203.0.113.9")),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN ffff:f...f:ffff whatever 65535 it says\r\n", None),
    ] {
        assert_eq!(parse(text.as_bytes()), Ok(complete(text.len(), client)), "{text:?}");
        let followed = format!("{text}GET / HTTP/1.1\r\n");
        assert_eq!(parse(followed.as_bytes()), Ok(complete(text.len(), client)), "{text:?}");
    }
}

#[test]
fn a_line_that_is_not_written_as_specified_is_refused() {
    for text in [
        "PROXY TCP4 203.0.113.9 192.0.2.1 56324\r\n",
        "PROXY TCP4 203.0.113.9 192.0.2.1 56324 443 1\r\n",
        "PROXY TCP4 203.0.113.9  192.0.2.1 56324 443\r\n",
        "PROXY TCP4 203.0.113.9 192.0.2.1 56324 443 \r\n",
        "PROXY TCP4 203.0.113.009 192.0.2.1 56324 443\r\n",
        "PROXY TCP4 203.0.113 192.0.2.1 56324 443\r\n",
        "PROXY TCP4 203.0.113.9 192.0.2.1 65536 443\r\n",
        "PROXY TCP4 203.0.113.9 192.0.2.1 +1 443\r\n",
        "PROXY TCP4 203.0.113.9 192.0.2.1 01 443\r\n",
        "PROXY TCP4 2001:db8::9 2001:db8::1 56324 443\r\n",
        "PROXY TCP6 203.0.113.9 192.0.2.1 56324 443\r\n",
        "PROXY TCP6 fe80::1%eth0 2001:db8::1 56324 443\r\n",
        "PROXY tcp4 203.0.113.9 192.0.2.1 56324 443\r\n",
        "PROXY UDP4 203.0.113.9 192.0.2.1 56324 443\r\n",
        "PROXY UNKNOWN\u{00ff}\r\n",
        "PROXY \r\n",
    ] {
        assert_eq!(parse(text.as_bytes()), Err(ProxyHeaderError::Malformed), "{text:?}");
    }
    assert_eq!(parse(b"PROXY UNKNOWN \xff\r\n"), Err(ProxyHeaderError::Malformed));
}

#[test]
fn a_line_has_at_most_107_bytes() {
    let line = |bytes: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(bytes - 16)).into_bytes();
    assert_eq!(parse(&line(107)), Ok(complete(107, None)));
    assert_eq!(parse(&line(107)[..106]), Ok(ProxyHeader::Incomplete));
    assert_eq!(parse(&line(108)), Err(ProxyHeaderError::Malformed));
    assert_eq!(parse(&line(108)[..107]), Err(ProxyHeaderError::Malformed));
}

#[test]
fn a_binary_header_names_the_client() {
    for (command, family, rest, client) in [
        (0x21, 0x11, IPV4.to_vec(), Some("203.0.113.9")),
        (0x21, 0x12, IPV4.to_vec(), Some("203.0.113.9")),
        (0x21, 0x21, ipv6(), Some("2001:db8::9")),
        (0x21, 0x22, ipv6(), Some("2001:db8::9")),
        (0x21, 0x31, vec![b'/'; 216], None),
        (0x21, 0x00, vec![], None),
        (0x20, 0x00, vec![], None),
        // The proxy's own connection: whatever else it says means nothing.
        (0x20, 0x11, IPV4.to_vec(), None),
        (0x20, 0x77, vec![1, 2, 3], None),
        // Fields behind the addresses: an authority (0x02) and padding (0x04).
        (0x21, 0x11, [&IPV4[..], b"\x02\0\x03abc", b"\x04\0\0"].concat(), Some("203.0.113.9")),
        (0x21, 0x00, b"\xee\0\x02xy".to_vec(), None),
    ] {
        let header = version_2(command, family, &rest);
        assert_eq!(parse(&header), Ok(complete(header.len(), client)), "{command:x} {family:x} {rest:?}");
        let followed = [&header[..], b"\x16\x03\x01"].concat();
        assert_eq!(parse(&followed), Ok(complete(header.len(), client)), "{command:x} {family:x} {rest:?}");
    }
}

#[test]
fn a_binary_header_that_is_not_as_specified_is_refused() {
    for (command, family, rest) in [
        // Version 1 and 3, and a command that is none.
        (0x11, 0x11, IPV4.to_vec()),
        (0x31, 0x11, IPV4.to_vec()),
        (0x22, 0x11, IPV4.to_vec()),
        // Families and transports that are none.
        (0x21, 0x41, IPV4.to_vec()),
        (0x21, 0x10, IPV4.to_vec()),
        (0x21, 0x13, IPV4.to_vec()),
        // Less than the addresses of the family.
        (0x21, 0x11, IPV4[..11].to_vec()),
        (0x21, 0x21, ipv6()[..35].to_vec()),
        (0x21, 0x31, vec![0; 215]),
        // Fields that end behind the header.
        (0x21, 0x11, [&IPV4[..], b"\x02\0"].concat()),
        (0x21, 0x11, [&IPV4[..], b"\x02\0\x04abc"].concat()),
        (0x21, 0x11, [&IPV4[..], b"\x03\0\x03abc"].concat()),
    ] {
        let header = version_2(command, family, &rest);
        assert_eq!(parse(&header), Err(ProxyHeaderError::Malformed), "{command:x} {family:x} {rest:?}");
    }
}

#[test]
fn a_binary_header_has_at_most_4_kib_behind_its_fixed_part() {
    let padding = |bytes: usize| {
        let length = u16::try_from(bytes - 12 - 3).expect("a length that can be written").to_be_bytes();
        [&IPV4[..], &[0x04], &length, &vec![0; bytes - 12 - 3]].concat()
    };
    let longest = version_2(0x21, 0x11, &padding(4_096));
    assert_eq!(longest.len(), MAX_HEADER_BYTES);
    assert_eq!(parse(&longest), Ok(complete(MAX_HEADER_BYTES, Some("203.0.113.9"))));
    // Known from its first bytes.
    let too_long = version_2(0x21, 0x11, &padding(4_097));
    assert_eq!(parse(&too_long[..FIXED_BYTES]), Err(ProxyHeaderError::TooLong));
}

#[test]
fn a_checksum_is_held_against_the_header() {
    // Of "123456789", as every description of the code has it.
    assert_eq!(crc32c(b"123456789", 100), 0xE306_9283);
    let mut header = version_2(0x21, 0x11, &[&IPV4[..], b"\x03\0\x04\0\0\0\0", b"\x02\0\x01a"].concat());
    let place = FIXED_BYTES + IPV4.len() + 3;
    let sum = crc32c(&header, place).to_be_bytes();
    header[place..place + 4].copy_from_slice(&sum);
    assert_eq!(parse(&header), Ok(complete(header.len(), Some("203.0.113.9"))));
    for index in (FIXED_BYTES..FIXED_BYTES + 12).chain(place..header.len()) {
        let mut changed = header.clone();
        changed[index] ^= 1;
        assert!(parse(&changed).is_err(), "byte {index}");
    }
    let twice = [&IPV4[..], b"\x03\0\x04\0\0\0\0", b"\x03\0\x04\0\0\0\0"].concat();
    assert_eq!(parse(&version_2(0x21, 0x11, &twice)), Err(ProxyHeaderError::Malformed));
}

#[test]
fn whoever_does_not_begin_with_a_header_is_known_by_the_first_byte_that_differs() {
    for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"P ", b"PRI * HTTP/2.0", b"\x16\x03\x01", b"\r\n\r\nG", b"\n"]
    {
        assert_eq!(parse(bytes), Err(ProxyHeaderError::Absent), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn a_header_is_read_alike_however_it_is_cut(
        header in prop_oneof![
            Just(b"PROXY TCP4 203.0.113.9 192.0.2.1 56324 443\r\n".to_vec()),
            Just(b"PROXY UNKNOWN\r\n".to_vec()),
            Just(version_2(0x21, 0x21, &ipv6())),
            Just(version_2(0x20, 0, &[])),
        ],
        cut in any::<prop::sample::Index>(),
    ) {
        let cut = cut.index(header.len());
        prop_assert_eq!(parse(&header[..cut]), Ok(ProxyHeader::Incomplete));
        let is_whole = matches!(parse(&header), Ok(ProxyHeader::Complete { length, .. }) if length == header.len());
        prop_assert!(is_whole);
    }
}
