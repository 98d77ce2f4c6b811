//! The log on standard error, and its level, which may change while the server runs.

use std::{fmt, io, sync::Arc};

use tracing_subscriber::EnvFilter;

use super::super::Failure;
use crate::{
    config::{LogFormat, LogSettings},
    server::AccessLog,
};

/// Sets what is logged from now on.
#[derive(Clone)]
pub(super) struct Level(Arc<dyn Fn(EnvFilter) + Send + Sync>);

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Level")
    }
}

impl Level {
    /// `level` has been checked with the other settings; one that is none changes nothing.
    pub(super) fn set(&self, level: &str) {
        if let Ok(filter) = level.parse() {
            (self.0)(filter);
        }
    }
}

/// Standard error without the lock of the library: each line is one write, which the kernel keeps whole, and a
/// thread does not wait in here for another's.
struct Descriptor;

impl io::Write for Descriptor {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(io::stderr(), line)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where lines about requests go: to the same place, in the same form.
pub(super) fn access(settings: &LogSettings) -> AccessLog {
    let write = |line: &[u8]| {
        // Whoever closed the log wants none.
        let _ = io::Write::write_all(&mut Descriptor, line);
    };
    AccessLog { format: settings.format, write }
}

/// Starts the log of this process.
pub(super) fn start(settings: &LogSettings) -> Result<Level, Failure> {
    let filter: EnvFilter = settings.level.parse().map_err(|e| Failure::Usage(format!("log.level: {e}")))?;
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Descriptor).with_ansi(false);
    // It fails when the log has ended, with the process.
    match settings.format {
        LogFormat::Text => {
            let builder = builder.with_filter_reloading();
            let handle = builder.reload_handle();
            builder.try_init().map_err(Failure::failed)?;
            Ok(Level(Arc::new(move |filter| drop(handle.reload(filter)))))
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_filter_reloading();
            let handle = builder.reload_handle();
            builder.try_init().map_err(Failure::failed)?;
            Ok(Level(Arc::new(move |filter| drop(handle.reload(filter)))))
        }
    }
}
