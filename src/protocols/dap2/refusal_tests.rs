//! Tests of what is refused, left out or cut short: data that cannot be read, now or ever.

use bytes::Bytes;
use cdm::{Block, DataType, FullName, Group, Variable};
use futures::{StreamExt, executor::block_on};

use super::{super::*, ask, ask_head, dimension, fixture, odd};

/// Gives one block of its variable, then fails.
#[derive(Debug)]
struct Failing(cdm::Dataset);

impl Source for Failing {
    fn dataset(&self) -> &cdm::Dataset {
        &self.0
    }
    fn version(&self) -> Option<&cdm::Version> {
        None
    }
    fn read(&self, _: &FullName, _: &cdm::Selection) -> cdm::BlockStream {
        let block = Block::Fixed(Bytes::from_static(&[0; 4]));
        futures::stream::iter([Ok(block), Err(Error::corrupt("the file ends too early"))]).boxed()
    }
}

#[test]
fn a_late_failure_is_the_last_item_of_the_body() {
    let mut root = Group::new(FullName::root());
    for name in ["a", "b"] {
        root.variables.push(Variable::new(name, DataType::Int32, vec![dimension("/x", 4)]));
    }
    root.dimensions.push(dimension("/x", 4));
    let source: Arc<dyn Source> = Arc::new(Failing(cdm::Dataset::new("t", root).unwrap()));
    for response in [Response::Dods, Response::Ascii] {
        let reply = ask_head(response, "", &source);
        assert_eq!(reply.status, 200);
        let items = block_on(reply.body.collect::<Vec<_>>());
        let failed: Vec<bool> = items.iter().map(Result::is_err).collect();
        assert_eq!(failed.iter().filter(|f| **f).count(), 1, "{response:?}");
        assert_eq!(failed.last(), Some(&true), "{response:?}");
        assert_eq!(items.last().unwrap().as_ref().unwrap_err().kind(), ErrorKind::Corrupt);
    }
}

/// Two variables, one of which cannot be read; it says so at once, or only when elements are wanted.
#[derive(Debug)]
struct Unreadable {
    inner: Arc<dyn Source>,
    at_once: bool,
}

impl Unreadable {
    fn source(at_once: bool) -> Arc<dyn Source> {
        let mut root = Group::new(FullName::root());
        root.dimensions.push(dimension("/x", 2));
        let variables = ["strange", "usual"].map(|name| {
            let block = Block::Fixed(Bytes::from_static(&[0; 8]));
            (Variable::new(name, DataType::Int32, vec![dimension("/x", 2)]), block)
        });
        let inner = Arc::new(cdm::testing::MemorySource::flat("t", root, variables.into()));
        Arc::new(Self { inner, at_once })
    }
}

impl Source for Unreadable {
    fn dataset(&self) -> &cdm::Dataset {
        self.inner.dataset()
    }
    fn version(&self) -> Option<&cdm::Version> {
        None
    }
    fn read(&self, variable: &FullName, selection: &cdm::Selection) -> cdm::BlockStream {
        if variable.as_str() == "/strange" && (self.at_once || selection.element_count() > 0) {
            return cdm::source::failed(Error::unsupported("filter 300 is not supported"));
        }
        self.inner.read(variable, selection)
    }
}

#[test]
fn a_variable_known_to_be_unreadable_is_left_out_with_a_reason() {
    let source = Unreadable::source(true);
    let said = |response, query| String::from_utf8(ask(response, query, &source).1.unwrap()).unwrap();
    assert!(!said(Response::Dds, "").contains("strange"));
    assert!(said(Response::Das, "").contains(r#"String dap2_omitted "strange (cannot be read)";"#));
    for query in ["strange", "usual,strange[0:1]"] {
        let (reply, body) = ask(Response::Dods, query, &source);
        assert_eq!(reply.status, 501, "{query}");
        assert!(String::from_utf8(body.unwrap()).unwrap().contains("strange: filter 300 is not supported"));
    }
}

#[test]
fn what_fails_with_its_first_values_is_refused_before_the_declarations() {
    let source = Unreadable::source(false);
    for response in [Response::Dods, Response::Ascii] {
        let items = block_on(ask_head(response, "strange", &source).body.collect::<Vec<_>>());
        assert_eq!(items.len(), 1, "{response:?}");
        assert_eq!(items[0].as_ref().unwrap_err().kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn what_is_left_out_says_why() {
    for (query, status, words) in [("nothing", 400, "no elements"), ("nothing[0:1:0]", 400, "no elements")] {
        let (reply, body) = ask(Response::Dods, query, &odd());
        assert_eq!(reply.status, status);
        assert!(String::from_utf8(body.unwrap()).unwrap().contains(words), "{query}");
    }
    let (reply, body) = ask(Response::Dods, "blob", &fixture(true));
    assert_eq!(reply.status, 501);
    assert!(String::from_utf8(body.unwrap()).unwrap().contains("Opaque"));
}
