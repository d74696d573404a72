//! The code against RFC 7541 appendix B, and texts in it from one end to the other.

use proptest::prelude::*;

use super::*;

/// The bits of a byte's code, or of the end's, 256.
fn code_of(symbol: usize) -> (u64, u32) {
    let length = LENGTHS[symbol];
    let before = LENGTHS[..symbol].iter().map(|&other| u64::from(other == length));
    (u64::from(CODES[usize::from(length)].first) + before.sum::<u64>(), length.into())
}

/// Writes codes, and ones behind them up to the end of a byte.
fn encode(symbols: impl IntoIterator<Item = usize>) -> Vec<u8> {
    let (mut coded, mut bits, mut count) = (Vec::new(), 0, 0);
    let mut push = |(code, length): (u64, u32)| {
        bits = bits << length | code;
        count += length;
        while count >= 8 {
            count -= 8;
            coded.push((bits >> count & 0xff).try_into().unwrap());
        }
        count
    };
    let rest = symbols.into_iter().map(code_of).fold(0, |_, code| push(code));
    push(((1 << ((8 - rest) % 8)) - 1, (8 - rest) % 8));
    coded
}

fn decoded(coded: &[u8]) -> Result<Vec<u8>, CompressionError> {
    // What was there before is nobody's.
    let mut text = vec![b'?'; 3];
    decode(coded, &mut text).map(|length| text[..length].to_vec())
}

/// Some of each length, as RFC 7541 appendix B has them.
#[test]
fn codes_are_those_of_the_appendix() {
    for (symbol, code, length) in [
        (usize::from(b'0'), 0x0, 5),
        (usize::from(b't'), 0x9, 5),
        (usize::from(b' '), 0x14, 6),
        (usize::from(b'u'), 0x2d, 6),
        (usize::from(b':'), 0x5c, 7),
        (usize::from(b'z'), 0x7b, 7),
        (usize::from(b'&'), 0xf8, 8),
        (usize::from(b'?'), 0x3fc, 10),
        (usize::from(b'+'), 0x7fb, 11),
        (usize::from(b'#'), 0xffa, 12),
        (0, 0x1ff8, 13),
        (usize::from(b'{'), 0x7ffe, 15),
        (usize::from(b'\\'), 0x7_fff0, 19),
        (128, 0xf_ffe6, 20),
        (153, 0x1f_ffdc, 21),
        (1, 0x7f_ffd8, 23),
        (9, 0xff_ffea, 24),
        (199, 0x1ff_ffec, 25),
        (192, 0x3ff_ffe0, 26),
        (255, 0x3ff_ffee, 26),
        (203, 0x7ff_ffde, 27),
        (2, 0xfff_ffe2, 28),
        (249, 0xfff_fffe, 28),
        (10, 0x3fff_fffc, 30),
        (22, 0x3fff_fffe, 30),
        (256, 0x3fff_ffff, 30),
    ] {
        assert_eq!(code_of(symbol), (code, length), "{symbol}");
    }
}

#[test]
fn every_byte_is_read_wherever_it_is() {
    for byte in 0..=255_usize {
        for (before, behind) in [(0, 0), (1, 20), (7, 1), (20, 3)] {
            let symbols =
                [vec![usize::from(b'a'); before], vec![byte], vec![usize::from(b'&'); behind]].concat();
            let text: Vec<_> = symbols.iter().map(|&symbol| u8::try_from(symbol).unwrap()).collect();
            assert_eq!(decoded(&encode(symbols)), Ok(text), "{byte}");
        }
    }
}

#[test]
fn only_the_beginning_of_the_end_may_follow() {
    const A: usize = b'a' as usize;
    let broken = Err(CompressionError::Huffman);
    assert_eq!(decoded(&[]), Ok(vec![]));
    for letters in 0..30 {
        let letters = || std::iter::repeat_n(A, letters);
        let whole = encode(letters());
        assert_eq!(decoded(&whole), Ok(vec![b'a'; letters().count()]));
        // A whole byte of it, the end itself, and a byte behind that.
        assert_eq!(decoded(&[&whole[..], &[0xff]].concat()), broken);
        assert_eq!(decoded(&[&whole[..], &[0xff; 4]].concat()), broken);
        assert_eq!(decoded(&encode(letters().chain([256]))), broken);
        assert_eq!(decoded(&encode(letters().chain([256, A, A, A, A, A, A, A, A, A, A]))), broken);
        // Other padding.
        if letters().count() % 8 != 0 {
            let mut zero = whole;
            *zero.last_mut().unwrap() &= 0xfe;
            assert_eq!(decoded(&zero), broken);
        }
    }
    for coded in [&[0][..], &[0xfe], &[0xff], &[0xff; 3], &[0xff, 0xff, 0xff, 0xfe], &[0xff; 100]] {
        assert_eq!(decoded(coded), broken, "{coded:?}");
    }
}

proptest! {
    #[test]
    fn what_is_coded_is_read(text: Vec<u8>) {
        let coded = encode(text.iter().map(|&byte| usize::from(byte)));
        prop_assert_eq!(decoded(&coded), Ok(text));
    }

    /// There is one code for a text.
    #[test]
    fn what_is_read_was_coded(coded: Vec<u8>) {
        if let Ok(text) = decoded(&coded) {
            prop_assert_eq!(encode(text.iter().map(|&byte| usize::from(byte))), coded);
        }
    }
}
