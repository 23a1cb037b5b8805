//! The strict reader beside `serde_json`'s own: it takes exactly what has one meaning, and reads that alike.

use fuzzing::Verdict;
use proptest::{prop_assert, prop_assert_eq};

use super::*;

#[test]
fn fuzz_json_agrees_with_the_library_and_takes_what_has_one_meaning() {
    fuzzing::run(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/json"), check);
}

fn check(input: &[u8]) -> Verdict {
    let strict = object(input);
    // To the library, with a feature that some other crate asks for, this name is no name but a command.
    let command = b"serde_json::private";
    if input.windows(command.len()).any(|piece| piece == command) {
        let read = strict.map_or(0, |map| entries(&Value::Object(map)));
        prop_assert!(read == 0 || read == colons(input));
        return Ok(());
    }
    let plain = serde_json::from_slice::<Value>(input);
    if let Ok(Value::Object(map)) = &plain {
        let plain = Value::Object(map.clone());
        let one_meaning = colons(input) == entries(&plain)
            && depth(&plain) <= usize::from(MAX_DEPTH)
            && without_nul(&plain)
            && exact(&plain);
        match strict {
            Ok(map) => {
                prop_assert!(one_meaning, "taken although another reader may see more");
                prop_assert_eq!(&Value::Object(map), &plain);
                let again = object(plain.to_string().as_bytes()).map(Value::Object);
                // The library reads a fraction that it wrote as its neighbour, now and then.
                prop_assert!(has_fraction(&plain) || again == Ok(plain), "{again:?}");
            }
            Err(fault) => prop_assert!(!one_meaning, "refused for {fault:?}"),
        }
        return Ok(());
    }
    let fault = match strict {
        Ok(map) => {
            return Err(fuzzing::fails(format!(
                "taken as {map:?}, refused by {plain:?}"
            )));
        }
        Err(fault) => fault,
    };
    if let JsonFault::Syntax(at) = &fault {
        prop_assert!(plain.is_err());
        // A place that its writer can look at.
        let text = std::str::from_utf8(input).unwrap_or_default();
        let line = text.split('\n').nth(at.line.wrapping_sub(1));
        let length = line.map(|line| line.chars().count());
        prop_assert!(
            length.is_some_and(|length| (1..=length + 1).contains(&at.column)),
            "line {}, column {}",
            at.line,
            at.column
        );
    }
    if fault == JsonFault::NotAnObject {
        prop_assert!(plain.is_ok());
    }
    Ok(())
}

/// How many members the text has: each has a colon that is in no text.
fn colons(input: &[u8]) -> usize {
    let (mut count, mut text, mut escaped) = (0, false, false);
    for byte in input {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if text => escaped = true,
            b'"' => text = !text,
            b':' if !text => count += 1,
            _ => {}
        }
    }
    count
}

/// How many members are left of it where the last of a name wins.
fn entries(value: &Value) -> usize {
    match value {
        Value::Object(map) => map.len() + map.values().map(entries).sum::<usize>(),
        Value::Array(list) => list.iter().map(entries).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

fn depth(value: &Value) -> usize {
    let deepest = match value {
        Value::Object(map) => map.values().map(depth).max(),
        Value::Array(list) => list.iter().map(depth).max(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return 0,
    };
    1 + deepest.unwrap_or(0)
}

fn without_nul(value: &Value) -> bool {
    match value {
        Value::Object(map) => map
            .iter()
            .all(|(name, value)| !name.contains('\0') && without_nul(value)),
        Value::Array(list) => list.iter().all(without_nul),
        Value::String(text) => !text.contains('\0'),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.values().any(has_fraction),
        Value::Array(list) => list.iter().any(has_fraction),
        Value::Number(number) => number.is_f64(),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

/// Whether every number is a whole one, or a fraction where each whole one could be told apart.
fn exact(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.values().all(exact),
        Value::Array(list) => list.iter().all(exact),
        Value::Number(number) => {
            number.is_i64()
                || number.is_u64()
                || number.as_f64().is_some_and(|float| float.abs() < EXACT)
        }
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}
