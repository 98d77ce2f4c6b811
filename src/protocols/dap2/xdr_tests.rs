//! The worked examples of protocol section 5.4, byte for byte, and what happens when a source does not
//! keep its word.

use std::sync::Arc;

use cdm::{
    BlockStream, Dataset, Dimension, FullName, Group, RecordType, Selection, Source, Version,
    testing::MemorySource,
};
use futures::executor::block_on;

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |all, b| all + &format!("{b:02x}"))
}

fn leaf(source: Arc<dyn Source>, name: &str) -> Leaf {
    let name = FullName::new(name);
    let declared = source.dataset().variable(&name).unwrap().clone();
    let selection = Selection::all(&declared.shape());
    Leaf { source, name, declared, selection }
}

/// The XDR of one variable is `expect`, whatever the size of blocks, and its length is known if it can be.
fn check(data_type: DataType, sizes: &[u64], block: &Block, expect: &str) {
    let dimensions = sizes.iter().map(|n| Dimension::anonymous(*n)).collect();
    let variable = Variable::new("v", data_type, dimensions);
    for elements in [1, 2, 100] {
        let root = Group::new(FullName::root());
        let source = MemorySource::flat("t", root, vec![(variable.clone(), block.clone())]);
        let leaf = leaf(Arc::new(source.with_block_elements(elements)), "/v");
        let parts: Vec<_> = block_on(values(&leaf).collect());
        let bytes = parts.into_iter().collect::<Result<Vec<_>>>().unwrap().concat();
        assert_eq!(hex(&bytes), expect.replace(' ', ""), "{elements} elements a block");
        if let Some(len) = fixed_len(&variable) {
            assert_eq!(len, bytes.len() as u64);
        }
    }
}

fn fixed<const N: usize>(numbers: impl IntoIterator<Item = [u8; N]>) -> Block {
    Block::Fixed(numbers.into_iter().flatten().collect::<Vec<u8>>().into())
}

fn record(fields: &[(&str, DataType)]) -> Arc<RecordType> {
    let fields = fields.iter().map(|(n, t)| Variable::new(*n, t.clone(), vec![])).collect();
    Arc::new(RecordType { name: None, fields, is_vlen: false })
}

#[test]
fn bytes_are_packed_and_padded() {
    check(
        DataType::UInt8,
        &[3],
        &Block::Fixed(Bytes::from_static(&[1, 255, 3])),
        "00000003 00000003 01ff0300",
    );
    check(
        DataType::UInt8,
        &[4],
        &Block::Fixed(Bytes::from_static(&[1, 2, 3, 4])),
        "00000004 00000004 01020304",
    );
    check(DataType::UInt8, &[], &Block::Fixed(Bytes::from_static(&[200])), "000000c8");
}

#[test]
fn strings_are_counted_once() {
    check(
        DataType::String,
        &[2],
        &Block::varying(["ab", "cde"]),
        "00000002 00000002 61620000 00000003 63646500",
    );
    check(DataType::String, &[], &Block::varying([""]), "00000000");
}

#[test]
fn sequences_have_marks() {
    let rows = record(&[("a", DataType::Int32), ("b", DataType::Float32)]);
    let mut stored = 2_u64.to_ne_bytes().to_vec();
    for (a, b) in [(1_i32, 1.5_f32), (2, 2.5)] {
        stored.extend(a.to_ne_bytes());
        stored.extend(b.to_ne_bytes());
    }
    let expect = "5a000000 00000001 3fc00000 5a000000 00000002 40200000 a5000000";
    check(DataType::Sequence(rows.clone()), &[], &Block::varying([stored]), expect);
    check(DataType::Sequence(rows), &[], &Block::varying([0_u64.to_ne_bytes()]), "a5000000");
}

#[test]
fn numbers_are_counted_twice_and_widened_to_four_bytes() {
    let twice = "00000002 00000002";
    check(
        DataType::Int16,
        &[2],
        &fixed([1_i16, -2].map(i16::to_ne_bytes)),
        &format!("{twice} 00000001 fffffffe"),
    );
    check(
        DataType::UInt16,
        &[2],
        &fixed([1_u16, 65534].map(u16::to_ne_bytes)),
        &format!("{twice} 00000001 0000fffe"),
    );
    check(
        DataType::Int32,
        &[2],
        &fixed([1_i32, -2].map(i32::to_ne_bytes)),
        &format!("{twice} 00000001 fffffffe"),
    );
    check(
        DataType::Float32,
        &[2],
        &fixed([1.5_f32, -2.0].map(f32::to_ne_bytes)),
        &format!("{twice} 3fc00000 c0000000"),
    );
    check(
        DataType::Float64,
        &[2, 1],
        &fixed([1.5_f64, -2.0].map(f64::to_ne_bytes)),
        &format!("{twice} 3ff8000000000000 c000000000000000"),
    );
    check(DataType::Int16, &[], &fixed([(-2_i16).to_ne_bytes()]), "fffffffe");
    check(DataType::Int32, &[0, 3], &Block::Fixed(Bytes::new()), "00000000 00000000");
}

#[test]
fn structures_are_counted_once() {
    let point = record(&[("x", DataType::Int16), ("w", DataType::UInt8)]);
    let stored = [&1_i16.to_ne_bytes()[..], &[7], &(-1_i16).to_ne_bytes(), &[8]].concat();
    let expect = "00000002 00000001 00000007 ffffffff 00000008";
    check(DataType::Structure(point), &[2], &Block::Fixed(stored.into()), expect);
    let named = record(&[("n", DataType::String), ("x", DataType::Float64)]);
    let stored = [&1_u64.to_ne_bytes()[..], b"a", &1.0_f64.to_ne_bytes()].concat();
    check(DataType::Structure(named), &[], &Block::varying([stored]), "00000001 61000000 3ff0000000000000");
}

/// Declares four numbers and gives `given`, then an error if `fails`.
#[derive(Debug)]
struct Liar {
    dataset: Dataset,
    given: Vec<Block>,
    fails: bool,
}

impl Source for Liar {
    fn dataset(&self) -> &Dataset {
        &self.dataset
    }
    fn version(&self) -> Option<&Version> {
        None
    }
    fn read(&self, _: &FullName, _: &Selection) -> BlockStream {
        let error = self.fails.then(|| Err(Error::new(cdm::ErrorKind::Changed, "the file changed")));
        stream::iter(self.given.clone().into_iter().map(Ok).chain(error).collect::<Vec<_>>()).boxed()
    }
}

fn lie(given: &[usize], fails: bool) -> Vec<Result<Bytes>> {
    let mut root = Group::new(FullName::root());
    root.variables.push(Variable::new("v", DataType::Int32, vec![Dimension::anonymous(4)]));
    let given = given.iter().map(|n| Block::Fixed(vec![0; n * 4].into())).collect();
    let source = Liar { dataset: Dataset::new("t", root).unwrap(), given, fails };
    block_on(values(&leaf(Arc::new(source), "/v")).collect())
}

#[test]
fn a_short_long_or_failing_source_cuts_the_answer() {
    assert!(lie(&[4], false).iter().all(Result::is_ok));
    assert!(lie(&[2, 2], false).iter().all(Result::is_ok));
    for (given, fails) in [(&[3][..], false), (&[], false), (&[2, 3], false), (&[2], true)] {
        let items = lie(given, fails);
        assert!(items.iter().any(Result::is_err), "{given:?} {fails}");
        let sent: usize = items.iter().take_while(|i| i.is_ok()).flatten().map(Bytes::len).sum();
        assert!(sent <= 8 + 4 * given.first().unwrap_or(&0), "{given:?}: nothing is made up");
    }
}
