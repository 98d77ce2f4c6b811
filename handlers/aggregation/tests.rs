//! Assembled datasets against a naive assembly in memory, and what they open.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use cdm::{
    Block, DataType, Dataset, Dimension, Error, ErrorKind, FullName, Group, Result, Selection, Slice, Source,
    Variable, Version,
    testing::{MemorySource, Random, collect, source_contract},
};
use futures::StreamExt;

use super::{pieces::Sizes, *};
use crate::storage::may_block_here;

/// Opens a source in memory, and counts.
#[derive(Debug)]
pub(crate) struct InMemory {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) opened: Arc<AtomicUsize>,
}

#[async_trait]
impl Open for InMemory {
    async fn open(&self) -> Result<Arc<dyn Source>> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        Ok(Arc::clone(&self.source))
    }
}

#[derive(Debug)]
struct Gone;

#[async_trait]
impl Open for Gone {
    async fn open(&self) -> Result<Arc<dyn Source>> {
        Err(Error::new(ErrorKind::Changed, "it is another version by now"))
    }
}

pub(crate) fn member(name: &str, source: Arc<dyn Source>, opened: &Arc<AtomicUsize>) -> Member {
    Member {
        name: name.into(),
        version: format!("version of {name}").into(),
        dataset: Arc::new(source.dataset().clone()),
        known: Arc::default(),
        coord_value: None,
        section: None,
        opener: Arc::new(InMemory { source, opened: Arc::clone(opened) }),
    }
}

fn dimensions(shape: &[u64]) -> Vec<Dimension> {
    shape.iter().map(|&n| Dimension::anonymous(n)).collect()
}

/// A source with the one variable `v`; element `i` is `first + i`, as a number or as text.
fn numbered(data_type: &DataType, shape: &[u64], first: i32) -> Arc<dyn Source> {
    let count = i32::try_from(shape.iter().product::<u64>()).unwrap();
    let numbers = first..first + count;
    let block = match data_type {
        DataType::String => Block::varying(numbers.map(|n| n.to_string())),
        _ => Block::Fixed(numbers.flat_map(i32::to_ne_bytes).collect()),
    };
    let variable = Variable::new("v", data_type.clone(), dimensions(shape));
    let root = Group::new(FullName::root());
    Arc::new(MemorySource::flat("member", root, vec![(variable, block)]).with_block_elements(5))
}

fn version() -> Version {
    Version { identity: "1".into(), modified: None }
}

fn assembled(
    data_type: &DataType,
    shape: &[u64],
    members: Vec<Member>,
    parts: Vec<Part>,
    fill: Option<Bytes>,
) -> Result<Assembled> {
    let mut root = Group::new(FullName::root());
    root.variables.push(Variable::new("v", data_type.clone(), dimensions(shape)));
    let plan = Plan::Parts(Mosaic::new(shape, parts, fill)?.into());
    let plans = HashMap::from([(FullName::new("/v"), plan)]);
    let dataset = Dataset::new("together", root)?;
    Assembled::new(dataset, version(), members.into(), plans)
}

/// The values of `v` as text, in order.
async fn texts(source: &Arc<dyn Source>, selection: &Selection) -> Result<Vec<String>> {
    let v = FullName::new("/v");
    let data_type = source.dataset().require(&v)?.data_type.clone();
    let block = collect(source.read(&v, selection), data_type.fixed_size().is_some()).await?;
    Ok(cdm::values(&data_type, &block)
        .map(|value| match value {
            cdm::Value::Text(text) => text.into_owned(),
            number => number.as_integer().unwrap().to_string(),
        })
        .collect())
}

/// A box of the shape that a part of a member's whole variable covers, and the number of its first element.
struct Placed {
    at: Vec<u64>,
    count: Vec<u64>,
    repeated: Option<usize>,
    first: i32,
}

impl Placed {
    fn own_shape(&self) -> Vec<u64> {
        let kept = (0..self.at.len()).filter(|a| Some(*a) != self.repeated);
        kept.map(|a| self.count[a]).collect()
    }

    fn spans(&self) -> Arc<[Span]> {
        (0..self.at.len())
            .map(|a| Span {
                at: self.at[a],
                count: self.count[a],
                along: if Some(a) == self.repeated { Along::Repeated } else { Along::From(0) },
            })
            .collect()
    }

    fn value_at(&self, index: &[u64]) -> Option<i64> {
        let mut flat = 0;
        for (a, index) in index.iter().enumerate() {
            let inside = index.checked_sub(self.at[a]).filter(|i| *i < self.count[a])?;
            if Some(a) != self.repeated {
                flat = flat * self.count[a] + inside;
            }
        }
        Some(i64::from(self.first) + i64::try_from(flat).unwrap())
    }
}

/// Cuts the axes at random and drops some of the boxes.
fn random_boxes(random: &mut Random, shape: &[u64], keep_all: bool) -> Vec<Placed> {
    let cuts: Vec<Vec<u64>> = shape
        .iter()
        .map(|&size| {
            let mut cuts = vec![0, size];
            for _ in 0..random.below(4) {
                cuts.push(random.below(size + 1));
            }
            cuts.sort_unstable();
            cuts.dedup();
            cuts
        })
        .collect();
    let mut boxes: Vec<(Vec<u64>, Vec<u64>)> = vec![(Vec::new(), Vec::new())];
    for axis in &cuts {
        boxes = boxes
            .iter()
            .flat_map(|(at, count)| {
                axis.windows(2).map(move |two| {
                    ([&at[..], &[two[0]]].concat(), [&count[..], &[two[1] - two[0]]].concat())
                })
            })
            .collect();
    }
    let mut first = 0;
    let mut placed = Vec::new();
    for (at, count) in boxes {
        if !keep_all && random.below(4) == 0 {
            continue;
        }
        let axis = usize::try_from(random.below(shape.len().max(1) as u64)).unwrap();
        let repeated = (random.below(4) == 0 && !shape.is_empty()).then_some(axis);
        placed.push(Placed { at, count, repeated, first });
        first += 1000;
    }
    placed
}

fn naive(shape: &[u64], placed: &[Placed], selection: &Selection) -> Vec<String> {
    let mut found = Vec::new();
    let _: Result<()> = cdm::records::for_each_index(selection, |flat| {
        let mut index = vec![0; shape.len()];
        let mut rest = flat;
        for a in (0..shape.len()).rev() {
            index[a] = rest % shape[a];
            rest /= shape[a];
        }
        let value = placed.iter().find_map(|p| p.value_at(&index));
        found.push(value.unwrap_or(-1).to_string());
        Ok(())
    });
    found
}

#[tokio::test]
async fn any_boxes_read_as_a_naive_assembly() {
    let mut random = Random(7);
    for round in 0..150 {
        let rank = random.below(4);
        let shape: Vec<u64> = (0..rank).map(|_| 1 + random.below(7)).collect();
        let keep_all = round % 3 == 0;
        let placed = random_boxes(&mut random, &shape, keep_all);
        let data_type = if round % 4 == 0 { DataType::String } else { DataType::Int32 };
        let opened = Arc::default();
        let members = placed
            .iter()
            .enumerate()
            .map(|(i, p)| member(&format!("m{i}"), numbered(&data_type, &p.own_shape(), p.first), &opened));
        let parts = placed.iter().enumerate().map(|(i, p)| Part {
            member: i,
            variable: FullName::new("/v"),
            axes: p.spans(),
            conversion: None,
        });
        let fill = match data_type {
            DataType::String => Bytes::from_static(b"-1"),
            _ => Bytes::copy_from_slice(&(-1_i32).to_ne_bytes()),
        };
        let fill = (!keep_all).then_some(fill);
        let source = assembled(&data_type, &shape, members.collect(), parts.collect(), fill).unwrap();
        let sizes = Sizes { band: 1 + random.below(100), small: random.below(50) };
        let source: Arc<dyn Source> = Arc::new(source.sized(sizes));
        source_contract(&source, round, 10).await;
        for _ in 0..10 {
            let selection = random.selection(&shape);
            let read = texts(&source, &selection).await.unwrap();
            assert_eq!(read, naive(&shape, &placed, &selection), "{shape:?} {selection:?}");
        }
    }
}

/// Members of `each` elements one after the other along the first of two axes.
fn joined(count: usize, each: u64, width: u64, opened: &Arc<AtomicUsize>) -> Arc<dyn Source> {
    let members = (0..count).map(|i| {
        let first = i32::try_from(i as u64 * each * width).unwrap();
        member(&format!("m{i}"), numbered(&DataType::Int32, &[each, width], first), opened)
    });
    let parts = (0..count).map(|i| Part {
        member: i,
        variable: FullName::new("/v"),
        axes: [Span { at: i as u64 * each, count: each, along: Along::From(0) }, Span::whole(width)].into(),
        conversion: None,
    });
    let shape = [count as u64 * each, width];
    Arc::new(assembled(&DataType::Int32, &shape, members.collect(), parts.collect(), None).unwrap())
}

#[tokio::test]
async fn only_members_that_are_touched_are_opened() {
    let opened = Arc::default();
    let source = joined(100, 3, 4, &opened);
    let rows = |start, step, count| vec![Slice::new(start, step, count).unwrap()];
    let some = Selection::new(vec![rows(31, 30, 3), rows(2, 1, 1)], &[300, 4]).unwrap();
    assert_eq!(texts(&source, &some).await.unwrap(), ["126", "246", "366"]);
    assert_eq!(opened.load(Ordering::Relaxed), 3);
    drop(source.read(&FullName::new("/v"), &Selection::all(&[300, 4])));
    assert_eq!(opened.load(Ordering::Relaxed), 3, "nothing is opened before the first poll");
    let all = Selection::all(&[300, 4]);
    let expected: Vec<String> = (0..1200).map(|n| n.to_string()).collect();
    assert_eq!(texts(&source, &all).await.unwrap(), expected);
    assert_eq!(opened.load(Ordering::Relaxed), 103);
}

/// Opens at once, after a moment of work; counts, and says how often that was on a thread that may block.
#[derive(Debug)]
struct Near {
    source: Arc<dyn Source>,
    opened: Arc<AtomicUsize>,
    may_block: Arc<AtomicUsize>,
}

#[async_trait]
impl Open for Near {
    async fn open(&self) -> Result<Arc<dyn Source>> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.may_block.fetch_add(usize::from(may_block_here()), Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(1));
        Ok(Arc::clone(&self.source))
    }
}

/// `joined` members that need not be waited for; with how many were opened, and how many where blocking is allowed.
fn near(count: usize) -> (Arc<dyn Source>, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (opened, may_block): (Arc<AtomicUsize>, Arc<AtomicUsize>) = Default::default();
    let mut members = Vec::new();
    let mut parts = Vec::new();
    for i in 0..count {
        let source = numbered(&DataType::Int32, &[1], i32::try_from(i).unwrap());
        let near = Near {
            source: Arc::clone(&source),
            opened: Arc::clone(&opened),
            may_block: Arc::clone(&may_block),
        };
        members.push(Member { opener: Arc::new(near), ..member(&format!("m{i}"), source, &Arc::default()) });
        let axes = [Span { at: i as u64, count: 1, along: Along::From(0) }].into();
        parts.push(Part { member: i, variable: FullName::new("/v"), axes, conversion: None });
    }
    let source = assembled(&DataType::Int32, &[count as u64], members, parts, None).unwrap();
    (Arc::new(source), opened, may_block)
}

#[tokio::test]
async fn small_members_that_are_near_are_read_without_hops() {
    let (source, opened, may_block) = near(300);
    let expected: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    assert_eq!(texts(&source, &Selection::all(&[300])).await.unwrap(), expected);
    assert_eq!(opened.load(Ordering::Relaxed), 300);
    assert_eq!(may_block.load(Ordering::Relaxed), 300);
}

#[tokio::test]
async fn a_band_that_nobody_waits_for_begins_no_more_members() {
    let (source, opened, _) = near(1000);
    let mut blocks = source.read(&FullName::new("/v"), &Selection::all(&[1000]));
    tokio::select! {
        _ = blocks.next() => panic!("a thousand members in no time"),
        () = tokio::time::sleep(Duration::from_millis(10)) => {}
    }
    drop(blocks);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let then = opened.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(then > 0 && then < 1000, "{then}");
    assert_eq!(opened.load(Ordering::Relaxed), then);
}

/// Long runs are passed on as they come, with the next members open and no others.
#[tokio::test]
async fn long_runs_open_a_few_members_ahead() {
    let opened = Arc::default();
    let source = joined(30, 600, 300, &opened);
    let mut blocks = source.read(&FullName::new("/v"), &Selection::all(&[18_000, 300]));
    let first = blocks.next().await.unwrap().unwrap();
    assert_eq!(first.byte_len(), 20, "the member's own block");
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(opened.load(Ordering::Relaxed) <= 5, "{opened:?}");
    drop(blocks);
}

#[tokio::test]
async fn errors_name_the_member_and_end_the_stream() {
    let opened = Arc::default();
    let mut members: Vec<Member> = (0..3)
        .map(|i| member(&format!("day {i}.nc"), numbered(&DataType::Int32, &[2], 0), &opened))
        .collect();
    members[1].opener = Arc::new(Gone);
    let part = |i: usize| Part {
        member: i,
        variable: FullName::new("/v"),
        axes: [Span { at: i as u64 * 2, count: 2, along: Along::From(0) }].into(),
        conversion: None,
    };
    let make = |members| -> Arc<dyn Source> {
        Arc::new(assembled(&DataType::Int32, &[6], members, (0..3).map(part).collect(), None).unwrap())
    };
    let source = make(members.clone());
    let error = texts(&source, &Selection::all(&[6])).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Changed, "day 1.nc: it is another version by now")
    );
    // The third is fine by itself.
    let last = Selection::new(vec![vec![Slice::new(4, 1, 2).unwrap()]], &[6]).unwrap();
    assert_eq!(texts(&source, &last).await.unwrap(), ["0", "1"]);
    // A member whose variable is another by now is not read.
    members[1].opener =
        Arc::new(InMemory { source: numbered(&DataType::Int32, &[3], 0), opened: Arc::default() });
    let source = make(members);
    let error = texts(&source, &Selection::all(&[6])).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Changed, "day 1.nc: /v is not what it was; ask again")
    );
}

#[test]
fn plans_that_do_not_fit_are_refused() {
    let opened = Arc::default();
    let two = |data_type| {
        vec![
            member("a", numbered(data_type, &[2], 0), &opened),
            member("b", numbered(data_type, &[2], 0), &opened),
        ]
    };
    let part = |member, at| Part {
        member,
        variable: FullName::new("/v"),
        axes: [Span { at, count: 2, along: Along::From(0) }].into(),
        conversion: None,
    };
    let int32 = &DataType::Int32;
    let refused = |size, parts, fill: Option<Bytes>| {
        assembled(int32, &[size], two(int32), parts, fill).unwrap_err().message().to_owned()
    };
    assert_eq!(refused(3, vec![part(0, 0), part(1, 1)], None), "parts of /v overlap");
    assert_eq!(refused(3, vec![part(0, 0), part(1, 2)], None), "a part of /v lies outside the result");
    assert!(refused(5, vec![part(0, 0), part(1, 2)], None).contains("no fill"));
    assert!(
        refused(5, vec![part(0, 0)], Some(Bytes::from_static(&[0]))).contains("fill value of another size")
    );
    assert!(refused(4, vec![part(0, 0), part(2, 2)], None).contains("no member"));
    let other = assembled(int32, &[4], two(&DataType::String), vec![part(0, 0), part(1, 2)], None);
    assert!(other.unwrap_err().message().contains("/v does not fit"));
}
