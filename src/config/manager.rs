//! The service manager that started this process, as the environment tells of it (systemd's `sd_notify`).

use std::{env, time::Duration};

/// Who wants to be told what is the case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manager {
    /// The socket where it listens: a path, or `@name` in the kernel's own space of names.
    pub socket: String,
    /// How often it is to hear that the process lives.
    pub every: Option<Duration>,
}

impl Manager {
    /// The one of this process, if there is one.
    pub fn of_environment() -> Option<Self> {
        let said = |name: &str| env::var(name).ok();
        let is_ours = said("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let patience = said("WATCHDOG_USEC").and_then(|text| text.parse::<u64>().ok());
        // Twice in the time after which the process is given up.
        let every = patience.filter(|micros| is_ours && *micros > 1).map(|m| Duration::from_micros(m / 2));
        Some(Self { socket: said("NOTIFY_SOCKET")?, every })
    }
}
