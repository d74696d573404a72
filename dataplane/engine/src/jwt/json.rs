//! JSON objects that can be read in one way only.
//!
//! Stricter than RFC 8259 and as strict as I-JSON (RFC 7493): a name stands once in an object, at every depth, after its
//! escapes are resolved; nothing follows the object; nesting and number of values are bounded. A token with two `exp`
//! would otherwise mean different things to the gateway and to an upstream.

use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How large an object may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Levels of objects and arrays, the outermost included.
    pub(super) depth: u32,
    /// Values of any kind, at all levels, the outermost included.
    pub(super) values: u32,
}

/// Reads one object.
///
/// # Errors
/// When it is anything else, or over the bounds. The error's text is not for showing: it may quote the input.
pub(super) fn read_object(text: &[u8], bounds: Bounds) -> Result<Map<String, Value>, serde_json::Error> {
    let mut values = bounds.values;
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Strict { depth: bounds.depth, values: &mut values }.deserialize(&mut reader)?;
    reader.end()?;
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(serde_json::Error::custom("not an object")),
    }
}

/// Reads one value; counts down what may still come.
struct Strict<'b> {
    depth: u32,
    values: &'b mut u32,
}

impl Strict<'_> {
    /// The levels that may follow inside an object or array.
    fn depth_inside<E: Error>(&self) -> Result<u32, E> {
        self.depth.checked_sub(1).ok_or_else(|| E::custom("nested too deeply"))
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        *self.values = self.values.checked_sub(1).ok_or_else(|| D::Error::custom("too many values"))?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let depth = self.depth_inside()?;
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(Strict { depth, values: self.values })? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let depth = self.depth_inside()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom("duplicate member"));
            }
            let value = members.next_value_seed(Strict { depth, values: self.values })?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Bounds = Bounds { depth: 4, values: 10 };

    fn is_read(text: &str) -> bool {
        read_object(text.as_bytes(), BOUNDS).is_ok()
    }

    #[test]
    fn objects_are_read_as_written() {
        let text = r#" {"a": [1, -2, 0.5, "x\u00e9\n"], "b": {"c": null, "d": true}} "#;
        let read = read_object(text.as_bytes(), BOUNDS).unwrap();
        assert_eq!(Value::Object(read), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn what_has_two_readings_is_refused() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"{"x":{"a":1,"a":2}}"#,
            r#"{"x":[{"a":1,"a":2}]}"#,
            r#"{"a":1}{"a":2}"#,
            r#"{"a":1}x"#,
            "{\"a\":1}\0",
            "\u{feff}{}",
            "[]",
            "1",
            "null",
            r#""a""#,
            "",
            "{",
            "{'a':1}",
            "{a:1}",
            r#"{"a":1,}"#,
            r#"{"a":NaN}"#,
            r#"{"a":1e999}"#,
            r#"{"a":-1e999}"#,
            r#"{"a":01}"#,
            r#"{"a":+1}"#,
            r#"{"a":.5}"#,
            r#"{"a":"\ud800"}"#,
            "{\"a\":\"\n\"}",
            "{/**/}",
        ] {
            assert!(!is_read(text), "{text:?} was read");
        }
        assert!(read_object(b"{\"a\":\"\xff\"}", BOUNDS).is_err());
        assert!(read_object(b"{\"\xc0\xaf\":1}", BOUNDS).is_err());
    }

    #[test]
    fn depth_and_number_of_values_are_bounded() {
        assert!(is_read(r#"{"a":[[[]]]}"#));
        assert!(is_read(r#"{"a":[[{"b":1}]]}"#));
        assert!(!is_read(r#"{"a":[[[[]]]]}"#));
        assert!(!is_read(r#"{"a":{"b":{"c":{"d":{}}}}}"#));
        assert!(is_read(r#"{"a":[1,2,3,4,5,6,7,8]}"#));
        assert!(!is_read(r#"{"a":[1,2,3,4,5,6,7,8,9]}"#));
        let deep = "[".repeat(100_000);
        assert!(!is_read(&format!("{{\"a\":{deep}")));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_object(&bytes, BOUNDS);
        }

        #[test]
        fn what_is_read_is_what_a_lenient_reader_reads(text in r#"\{("[ab]":([0-9]|"x"|\{\}|\[1\]),?){0,4}\}"#) {
            if let Ok(read) = read_object(text.as_bytes(), BOUNDS) {
                prop_assert_eq!(Value::Object(read), serde_json::from_str::<Value>(&text).unwrap());
            }
        }
    }
}
