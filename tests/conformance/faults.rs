//! Section 3.7 and 5.8: data that fail after the answer has begun must not look like success; data that
//! fail before it has, have a status.

use std::sync::Arc;

use cdm::{
    Block, BlockStream, DataType, Dataset, Error, FullName, Group, Result, Selection, Source, Variable,
    Version,
};
use futures::StreamExt;

use crate::{
    dap,
    datasets::anonymous,
    world::{ask, get, get_slowly},
    xml,
};

/// Mebibytes that `late` promises, and gives before it fails.
const PROMISED: usize = 8;
const GIVEN: usize = 3;

/// `late`: bytes of a length known before; `late_text`: strings; `early`: fails at once.
pub(crate) fn source(name: &str) -> Arc<dyn Source> {
    let mut root = Group::new(FullName::root());
    let text = name.starts_with("late_text");
    let (data_type, size) =
        if text { (DataType::String, PROMISED) } else { (DataType::UInt8, PROMISED << 20) };
    root.variables.push(Variable::new("v", data_type, anonymous(&[size as u64])));
    let given = if name.starts_with("early") { 0 } else { GIVEN };
    Arc::new(Failing { dataset: Dataset::new("t.nc", root).unwrap(), text, given })
}

#[derive(Debug)]
struct Failing {
    dataset: Dataset,
    text: bool,
    given: usize,
}

impl Source for Failing {
    fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    fn version(&self) -> Option<&Version> {
        None
    }

    fn read(&self, _: &FullName, selection: &Selection) -> BlockStream {
        if selection.element_count() == 0 {
            return futures::stream::empty().boxed();
        }
        let mebibyte = vec![7; 1 << 20];
        let block = if self.text { Block::varying([mebibyte]) } else { Block::Fixed(mebibyte.into()) };
        let good = std::iter::repeat_n(block, self.given).map(Ok);
        let failed: Result<Block> = Err(Error::corrupt("chunk 3 of /v <is> broken"));
        futures::stream::iter(good.chain([failed]).collect::<Vec<_>>()).boxed()
    }
}

#[test]
fn s3_7_a_late_failure_is_an_error_chunk_and_a_cut() {
    // More than fits the sockets' buffers is under way when the read fails.
    let whole = |dataset: &str| [get, get_slowly].map(|get| get(&format!("/opendap/{dataset}.nc.dap")));
    let answers = [("late", true), ("late_text", false)].map(|(d, p)| whole(d).map(|answer| (d, p, answer)));
    for (dataset, is_promised, answer) in answers.into_iter().flatten() {
        assert_eq!(answer.status, 200);
        assert_eq!(!answer.header("content-length").is_empty(), is_promised, "{dataset}");
        assert!(!answer.is_whole, "{dataset}: looks complete");
        let (chunks, rest) = dap::chunks(&answer.body);
        assert!(rest.is_empty(), "{dataset}: the error chunk arrived whole and nothing after it");
        let (flags, payload) = chunks.last().unwrap();
        assert_eq!(*flags, 0x07, "{dataset}: error, last, little-endian");
        let error = xml::parse(std::str::from_utf8(payload).unwrap());
        assert_eq!((error.tag.as_str(), error.attribute("httpcode")), ("Error", Some("500")));
        assert!(error.all("Message").next().unwrap().text.contains("chunk 3 of /v <is> broken"));
        for (flags, payload) in &chunks[1..chunks.len() - 1] {
            assert_eq!(*flags, 0x04);
            let others = payload.iter().filter(|b| **b != 7).count();
            assert!(others < 100, "only good data (and counts of strings) before it");
        }
    }
}

#[test]
fn s5_8_a_late_dap2_failure_cuts_the_connection() {
    for dataset in ["late", "late_text"] {
        for suffix in [".dods", ".ascii"] {
            let target = format!("/opendap/{dataset}.nc{suffix}");
            let answer = get(&target);
            assert_eq!((answer.status, answer.is_whole), (200, false), "{target}");
            // There is no error in DAP2 after the data have begun: only good data, then the cut.
            assert!(answer.body.len() > GIVEN << 20, "{target}: {} bytes", answer.body.len());
            assert!(!answer.body.windows(7).any(|w| w == b"Error {"), "{target}");
        }
    }
}

#[test]
fn s3_7_a_failure_before_the_first_byte_has_a_status() {
    let dap4 = get("/opendap/early.nc.dap");
    assert_eq!((dap4.status, dap4.is_whole), (500, true));
    assert_eq!(xml::parse(dap4.text()).attribute("httpcode"), Some("500"));
    for suffix in [".dods", ".ascii"] {
        let dap2 = get(&format!("/opendap/early.nc{suffix}"));
        assert_eq!((dap2.status, dap2.header("content-description")), (500, "dods_error"), "{suffix}");
    }
    // The description does not need the data.
    assert_eq!(get("/opendap/early.nc.dmr").status, 200);
    assert_eq!(ask("HEAD", "/opendap/late.nc.dap", "").status, 200);
}
