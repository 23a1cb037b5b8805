//! New inputs out of old ones: small changes where parsers are known to err, and parts of one input put into another.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::num::u32::ANY;
use proptest::strategy::Strategy;

/// Nothing grows beyond this.
const LONGEST: usize = 64 * 1024;

/// Bytes that mean something to one parser or another.
const BYTES: &[u8] =
    b"\0\t\n\x0b\x0c\r \"#$%&'()*+,-./0:;<=>?@A[\\]^_`a{|}~\x7f\x80\xa0\xc0\xe2\xed\xf0\xff";

/// Numbers at which readers of numbers err.
const NUMBERS: [&str; 16] = [
    "0",
    "00",
    "-0",
    "-1",
    "+1",
    "1e3",
    "0x10",
    "1.5",
    "255",
    "65535",
    "65536",
    "2147483648",
    "4294967296",
    "9007199254740993",
    "9223372036854775808",
    "18446744073709551616",
];

/// Which input to begin with, and the changes: what to do, where, and with what. All of them count in what is there,
/// so any numbers will do; smaller ones do less.
pub(crate) type Script = (u32, Vec<(u8, u32, u32)>);

/// Every script of up to seven changes.
pub(crate) fn scripts() -> impl Strategy<Value = Script> {
    (ANY, vec((0..KINDS, ANY, ANY), 1..=7))
}

/// How many kinds of changes [`Pool::change`] knows.
const KINDS: u8 = 14;

/// The inputs there are, and the words in them.
pub(crate) struct Pool {
    inputs: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
}

impl Pool {
    pub(crate) fn new(inputs: Vec<Vec<u8>>) -> Self {
        let words: BTreeSet<Vec<u8>> = inputs.iter().flat_map(|input| words(input)).collect();
        Self {
            inputs,
            words: words.into_iter().collect(),
        }
    }

    /// The input that `script` makes.
    pub(crate) fn made_by(&self, script: &Script) -> Vec<u8> {
        let (from, changes) = script;
        let mut input = of(&self.inputs, *from).cloned().unwrap_or_default();
        for (kind, at, with) in changes {
            self.change(&mut input, *kind, *at, *with);
            input.truncate(LONGEST);
        }
        input
    }

    fn change(&self, input: &mut Vec<u8>, kind: u8, place: u32, with: u32) {
        let at = index(place, input.len() + 1);
        let last = input.len();
        let byte = of(BYTES, with).copied().unwrap_or_default();
        let other = of(&self.inputs, with).map_or(&[][..], Vec::as_slice);
        let word = of(&self.words, with).map_or(&[][..], Vec::as_slice);
        match kind {
            // Nothing: what a script becomes when it is made smaller.
            0 => {}
            1 if at < last => input[at] = byte,
            2 if at < last => input[at] ^= 1 << (with % 8),
            3 => input.insert(at, byte),
            4 => drop(input.drain(at..last.min(at + 1 + index(with, 8)))),
            5 => {
                let piece = input[at..last.min(at + 1 + index(with, 32))].to_vec();
                insert(input, at, &piece);
            }
            6 => insert(input, at, word),
            7 => replace(input, at, u8::is_ascii_alphanumeric, word),
            8 => {
                let number = of(&NUMBERS, with).copied().unwrap_or_default();
                replace(input, at, u8::is_ascii_digit, number.as_bytes());
            }
            9 if at < last => input[at] ^= 0x20,
            // The rest of another input.
            10 => {
                input.truncate(at);
                input.extend_from_slice(&other[index(place, other.len() + 1)..]);
            }
            // A piece of another input.
            11 => {
                let from = index(place, other.len() + 1);
                let piece = &other[from..other.len().min(from + 1 + index(with, 64))];
                insert(input, at, piece);
            }
            // A line once more, or not at all.
            12 => {
                let line = line(input, at);
                let piece = input[line.clone()].to_vec();
                insert(input, line.end, &piece);
            }
            13 => drop(input.drain(line(input, at))),
            _ => {}
        }
    }
}

/// A place among `count`.
fn index(number: u32, count: usize) -> usize {
    usize::try_from(number)
        .unwrap_or_default()
        .checked_rem(count)
        .unwrap_or_default()
}

fn of<T>(all: &[T], number: u32) -> Option<&T> {
    all.get(index(number, all.len()))
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    drop(input.splice(at..at, piece.iter().copied()));
}

/// Puts `piece` in the place of the run of `kind` around `at`.
fn replace(input: &mut Vec<u8>, at: usize, kind: fn(&u8) -> bool, piece: &[u8]) {
    let before = input[..at].iter().rev().take_while(|b| kind(b)).count();
    let after = input[at..].iter().take_while(|b| kind(b)).count();
    drop(input.splice(at - before..at + after, piece.iter().copied()));
}

/// The line around `at`, with its end.
fn line(input: &[u8], at: usize) -> std::ops::Range<usize> {
    let begins = input[..at].iter().rposition(|b| *b == b'\n');
    let ends = input[at..].iter().position(|b| *b == b'\n');
    begins.map_or(0, |before| before + 1)..ends.map_or(input.len(), |after| at + after + 1)
}

/// The words of an input, and what stands between them.
fn words(input: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || *b == b'-';
    input
        .chunk_by(move |a, b| word(a) == word(b))
        .filter(|piece| piece.len() <= 64)
        .map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> Pool {
        Pool::new(vec![b"one: 12\r\ntwo: 3\r\n".to_vec(), b"x=y".to_vec()])
    }

    #[test]
    fn every_kind_but_none_changes_something() {
        let pool = pool();
        for kind in 0..KINDS {
            let changed =
                (0..200).any(|n| pool.made_by(&(0, vec![(kind, n, n)])) != pool.inputs[0]);
            assert_eq!(changed, kind != 0, "{kind}");
        }
    }

    #[test]
    fn an_empty_input_can_be_changed_too() {
        let empty = Pool::new(vec![Vec::new()]);
        for kind in 0..KINDS {
            for n in 0..20 {
                let _ = empty.made_by(&(n, vec![(kind, n, n), (3, n, n), (kind, n, n)]));
            }
        }
    }

    #[test]
    fn lines_and_numbers_are_known() {
        let of = |kind, at, with| String::from_utf8(pool().made_by(&(0, vec![(kind, at, with)])));
        assert_eq!(of(12, 2, 0).unwrap(), "one: 12\r\none: 12\r\ntwo: 3\r\n");
        assert_eq!(of(13, 2, 0).unwrap(), "two: 3\r\n");
        assert_eq!(of(8, 6, 9).unwrap(), "one: 65535\r\ntwo: 3\r\n");
    }
}
