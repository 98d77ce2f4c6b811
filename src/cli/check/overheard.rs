//! What readers say in the log of the dataset at hand: parts that they leave out. What storage says there is
//! about the way, not about the dataset.

use std::{
    fmt::{Debug, Write as _},
    sync::{Arc, Mutex, PoisonError},
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

use super::advice::Finding;

/// Messages kept of one dataset.
const MOST: usize = 100;

/// Warnings since they were last taken.
#[derive(Debug, Clone, Default)]
pub(super) struct Overheard(Arc<Mutex<Vec<String>>>);

impl Overheard {
    /// From now on, everything that is logged in this process.
    pub(super) fn listen() -> Self {
        let heard = Self::default();
        // Where someone listens already, nothing is heard here.
        let _ = tracing_subscriber::registry().with(heard.clone()).try_init();
        heard
    }

    /// What was said since the last time.
    pub(super) fn take(&self) -> Vec<Finding> {
        let said = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let finding = |what| {
            Finding::warning(what, "the rest is served without it", "write it in a form that is served")
        };
        said.into_iter().map(finding).collect()
    }
}

impl<S: Subscriber> Layer<S> for Overheard {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let about = event.metadata().target();
        let is_reader = about.starts_with("handlers::") && !about.starts_with("handlers::storage");
        if *event.metadata().level() != Level::WARN || !is_reader {
            return;
        }
        let mut words = Words::default();
        event.record(&mut words);
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() < MOST {
            said.push(format!("{}{}", words.message, words.fields));
        }
    }
}

/// An event as text.
#[derive(Debug, Default)]
struct Words {
    message: String,
    fields: String,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            // Told already.
            "dataset" | "file" => Ok(()),
            name => write!(self.fields, "; {name}: {value:?}"),
        };
    }
}
