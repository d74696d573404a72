//! The rules of the recommendation, case by case.

use proptest::prelude::*;

use super::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn told(values: &[&str]) -> Option<Parent> {
    let field = |value: &&str| (TRACEPARENT, HeaderValue::from_str(value).unwrap());
    Parent::told_by(&values.iter().map(field).collect())
}

fn is_state_of(values: &[&str]) -> bool {
    let values: Vec<_> = values.iter().map(|value| HeaderValue::from_str(value).unwrap()).collect();
    is_state(values.iter())
}

#[test]
fn a_parent_is_told_by_one_field_in_the_form_of_the_recommendation() {
    for (text, is_sampled) in [
        (format!("00-{TRACE}-{SPAN}-01"), true),
        (format!("00-{TRACE}-{SPAN}-00"), false),
        // Other flags mean nothing yet.
        (format!("00-{TRACE}-{SPAN}-fe"), false),
        (format!("00-{TRACE}-{SPAN}-ff"), true),
        // A later version is read as far as it is known.
        (format!("01-{TRACE}-{SPAN}-01"), true),
        (format!("cc-{TRACE}-{SPAN}-01-what-comes-later"), true),
        (format!("cc-{TRACE}-{SPAN}-01-"), true),
    ] {
        let parent = told(&[text.as_str()]).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(
            (parent.trace.to_string(), parent.span.to_string()),
            (TRACE.into(), SPAN.into()),
            "{text}"
        );
        assert_eq!(parent.is_sampled, is_sampled, "{text}");
        let flags = if is_sampled { "01" } else { "00" };
        assert_eq!(parent.write(), *format!("00-{TRACE}-{SPAN}-{flags}").as_bytes());
    }
}

#[test]
fn what_is_not_in_that_form_tells_of_no_parent() {
    let zeros = "0".repeat(32);
    for text in [
        String::new(),
        String::from("00"),
        format!("ff-{TRACE}-{SPAN}-01"),
        format!("00-{TRACE}-{SPAN}-01-"),
        format!("00-{TRACE}-{SPAN}-011"),
        format!("cc-{TRACE}-{SPAN}-01.later"),
        format!("00-{zeros}-{SPAN}-01"),
        format!("00-{TRACE}-{}-01", &zeros[..16]),
        format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
        format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
        format!("0A-{TRACE}-{SPAN}-01"),
        format!("00-{TRACE}-{SPAN}-0X"),
        format!("00-{TRACE}-{SPAN}-1"),
        format!("0-{TRACE}-{SPAN}-01"),
        format!("00_{TRACE}_{SPAN}_01"),
        format!("00-{}-{SPAN}-01", &TRACE[1..]),
        format!("00-{TRACE}0-{SPAN}-01"),
        format!("00-{}g-{SPAN}-01", &TRACE[1..]),
        format!("00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01"),
    ] {
        assert_eq!(told(&[text.as_str()]), None, "{text:?}");
    }
    assert_eq!(told(&[]), None);
    let good = format!("00-{TRACE}-{SPAN}-01");
    assert_eq!(told(&[good.as_str(); 2]), None, "of several nobody knows which one is meant");
}

#[test]
fn a_state_is_a_list_of_keys_with_values() {
    let long_key = format!("a{}=1", "b".repeat(255));
    let tenant = format!("{}@{}=1", "0".repeat(241), "v".repeat(14));
    let long_value = format!("a={}", "x".repeat(256));
    let most: Vec<_> = (0..32).map(|number| format!("k{number}=1")).collect();
    let most = most.join(",");
    let states: [&[&str]; 10] = [
        &[],
        &[""],
        &["congo=t61rcWkgMzE"],
        &["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"],
        &["foo=1 \t , \t bar=2,", ",,baz=3"],
        &["a-_*/0=!~ x", "0t@v=1"],
        &[&long_key],
        &[&tenant],
        &[&long_value],
        &[&most, ","],
    ];
    for state in states {
        assert!(is_state_of(state), "{state:?}");
    }
}

#[test]
fn what_breaks_the_list_breaks_all_of_it() {
    let long_key = format!("a{}=1", "b".repeat(256));
    let tenant = format!("{}@v=1", "0".repeat(242));
    let system = format!("t@{}=1", "v".repeat(15));
    let long_value = format!("a={}", "x".repeat(257));
    let one_more: Vec<_> = (0..33).map(|number| format!("k{number}=1")).collect();
    let one_more = one_more.join(",");
    for state in [
        "a",
        "a=",
        "=1",
        "A=1",
        "0a=1",
        "-a=1",
        "a =1",
        "a=1=2",
        "a=b=",
        "@v=1",
        "t@=1",
        "t@0v=1",
        "t@v@w=1",
        "a.b=1",
        "good=1,bad",
        "a\t=1",
        &long_key,
        &tenant,
        &system,
        &long_value,
        &one_more,
    ] {
        assert!(!is_state_of(&[state]), "{state:?}");
    }
    assert!(
        !is_state_of(&[&one_more[..one_more.len() - 6], "x=1,y=2"]),
        "members are counted over all fields"
    );
    assert!(!is_state([HeaderValue::from_bytes(b"a=\xff").unwrap()].iter()));
}

#[test]
fn as_many_traces_are_sampled_as_the_ratio_says() {
    let mut random = 1_u128;
    let mut traces = std::iter::repeat_with(move || {
        // Steps of a generator whose high halves are even enough for a share.
        random = random.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645).wrapping_add(1);
        TraceId::of(random.rotate_left(64)).unwrap()
    });
    for (ratio, expected) in [(0.0, 0..=0), (0.25, 2_300..=2_700), (1.0, 10_000..=10_000)] {
        let ratio = SampleRatio::new(ratio).unwrap();
        let sampled = traces.by_ref().take(10_000).filter(|trace| trace.is_sampled_at(ratio)).count();
        assert!(expected.contains(&sampled), "{sampled} at {ratio:?}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(trace in 1_u128.., span in 1_u64.., is_sampled: bool) {
        let parent = Parent { trace: TraceId::of(trace).unwrap(), span: SpanId::of(span).unwrap(), is_sampled };
        prop_assert_eq!(Parent::parse(&parent.write()), Some(parent));
    }

    #[test]
    fn nothing_that_is_sent_is_too_much(text in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = Parent::parse(&text);
        if let Ok(value) = HeaderValue::from_bytes(&text) {
            let _ = is_state([value].iter());
        }
    }
}
