//! New inputs out of old ones: small changes where parsers are known to err, and parts of one input put into another.

use std::collections::BTreeSet;
use std::ops::Range;

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

/// Every script of up to five changes: after more of them little is left that gets far into a parser.
pub(crate) fn scripts() -> impl Strategy<Value = Script> {
    (ANY, vec((0..KINDS, ANY, ANY), 1..=5))
}

/// How many kinds of changes [`Pool::change`] knows.
const KINDS: u8 = 17;

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
            7 => replace(input, run(input, place, is_word), word),
            8 => {
                let number = of(&NUMBERS, with).copied().unwrap_or_default();
                let digits = run(input, place, |b| b.is_ascii_digit());
                replace(input, digits, number.as_bytes());
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
            // A word without its end.
            14 => {
                let word = run(input, place, is_word);
                let from = word.start + index(with, word.len());
                drop(input.drain(from..word.end));
            }
            // A member of a list once more.
            15 => {
                let item = run(input, place, |b| !b",;&\n{}[]".contains(&b));
                let between = input.get(item.end).filter(|b| b",;&\n".contains(b));
                let between = between.copied().or(of(b",;&", with).copied());
                let mut piece: Vec<u8> = between.into_iter().collect();
                piece.extend_from_slice(&input[item.clone()]);
                insert(input, item.end, &piece);
            }
            // A list, a text or the like without what is in it.
            16 => {
                let opens: Vec<usize> = (1..=last)
                    .filter(|at| b"\"[{(".contains(&input[at - 1]))
                    .collect();
                let opens = of(&opens, place).copied().unwrap_or(last);
                let closing = match input[..opens].last() {
                    Some(b'[') => b']',
                    Some(b'{') => b'}',
                    Some(b'(') => b')',
                    _ => b'"',
                };
                let length = input[opens..].iter().position(|b| *b == closing);
                drop(input.drain(opens..opens + length.unwrap_or_default()));
            }
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

fn replace(input: &mut Vec<u8>, at: Range<usize>, piece: &[u8]) {
    drop(input.splice(at, piece.iter().copied()));
}

/// One of the runs of bytes of a kind; an empty one at the end where there is none. By runs and not by bytes, so that a
/// short one is met as often as a long one.
fn run(input: &[u8], number: u32, kind: fn(u8) -> bool) -> Range<usize> {
    let mut runs = Vec::new();
    let mut at = 0;
    for piece in input.chunk_by(|a, b| kind(*a) == kind(*b)) {
        if kind(piece[0]) {
            runs.push(at..at + piece.len());
        }
        at += piece.len();
    }
    of(&runs, number).cloned().unwrap_or(at..at)
}

/// The line around `at`, with its end.
fn line(input: &[u8], at: usize) -> Range<usize> {
    let begins = input[..at].iter().rposition(|b| *b == b'\n');
    let ends = input[at..].iter().position(|b| *b == b'\n');
    begins.map_or(0, |before| before + 1)..ends.map_or(input.len(), |after| at + after + 1)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// The words of an input, and what stands between them.
fn words(input: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    input
        .chunk_by(|a, b| is_word(*a) == is_word(*b))
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
        let pool = Pool::new(vec![b"one: 12, [3]\r\n".to_vec(), b"x=y".to_vec()]);
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
    fn members_of_lists_and_what_is_in_them_are_known() {
        let json = Pool::new(vec![br#"{"a":["b"],"c":{"d":1}}"#.to_vec()]);
        let of = |kind, at, with| String::from_utf8(json.made_by(&(0, vec![(kind, at, with)])));
        assert_eq!(of(15, 3, 0).unwrap(), r#"{"a":["b"],"c":{"d":1,"d":1}}"#);
        assert_eq!(of(16, 3, 0).unwrap(), r#"{"a":[],"c":{"d":1}}"#);
        let words = Pool::new(vec![b"e=AQAB".to_vec()]);
        assert_eq!(words.made_by(&(0, vec![(14, 1, 2)])), b"e=AQ");
    }

    #[test]
    fn lines_and_numbers_are_known() {
        let of = |kind, at, with| String::from_utf8(pool().made_by(&(0, vec![(kind, at, with)])));
        assert_eq!(of(12, 2, 0).unwrap(), "one: 12\r\none: 12\r\ntwo: 3\r\n");
        assert_eq!(of(13, 2, 0).unwrap(), "two: 3\r\n");
        assert_eq!(of(8, 1, 9).unwrap(), "one: 12\r\ntwo: 65535\r\n");
    }
}
