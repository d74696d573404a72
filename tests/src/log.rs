//! What the programs write: one JSON object in each line.

use serde_json::Value;

/// The fields of a log line, wherever the formatter put them; none for a line that is no JSON object.
#[must_use]
pub fn event(line: &str) -> Option<Value> {
    let mut line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get_mut("fields").filter(|fields| fields.is_object()).map(Value::take);
    if let (Some(Value::Object(fields)), Some(line)) = (fields, line.as_object_mut()) {
        line.remove("fields");
        line.extend(fields);
    }
    line.is_object().then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_nested_or_not() {
        let nested = event(r#"{"level":"INFO","fields":{"message":"listening"}}"#).unwrap();
        let flat = event(r#"{"level":"INFO","message":"listening"}"#).unwrap();
        assert_eq!(nested, flat);
        assert_eq!(event("plain words"), None);
        assert_eq!(event("[1]"), None);
    }
}
