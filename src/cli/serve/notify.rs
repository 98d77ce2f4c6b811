//! Word to the service manager: ready, reloading, stopping, alive (systemd's `sd_notify`).
//!
//! A service manager that wants to know says so in the environment, as the name of a socket. Where there is none, or
//! it does not listen, nothing is said and nothing fails.

use std::{os::unix::net::UnixDatagram, time::Duration};

use rustix::time::{ClockId, clock_gettime};

use crate::config::Manager;

/// Who is told.
#[derive(Debug, Default)]
pub(super) struct Notify {
    socket: Option<UnixDatagram>,
    /// How often it is to hear that the process lives.
    every: Option<Duration>,
}

impl Notify {
    /// Who is there, and listens.
    pub(super) fn new(manager: Option<&Manager>) -> Self {
        let socket = manager.and_then(|manager| connect(&manager.socket));
        let every = manager.and_then(|manager| manager.every).filter(|_| socket.is_some());
        Self { socket, every }
    }

    pub(super) fn ready(&self) {
        self.tell("READY=1");
    }

    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// A reload has begun; [`Notify::ready`] says that it has ended, however.
    pub(super) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000);
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// Says that the process lives, as often as it is to be said; never ends.
    pub(super) async fn live(&self) {
        let Some(every) = self.every else { return std::future::pending().await };
        let mut times = tokio::time::interval(every);
        loop {
            times.tick().await;
            self.tell("WATCHDOG=1");
        }
    }

    fn tell(&self, text: &str) {
        if let Some(socket) = &self.socket
            && let Err(e) = socket.send(text.as_bytes())
        {
            tracing::debug!(error = %e, "the service manager does not listen");
        }
    }
}

/// A socket by its path, or in the kernel's own space of names (`@name`).
fn connect(name: &str) -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    // A manager that does not take what is sent must not hold up the server.
    socket.set_nonblocking(true).ok()?;
    #[cfg(target_os = "linux")]
    if let Some(name) = name.strip_prefix('@') {
        use std::os::{linux::net::SocketAddrExt, unix::net::SocketAddr};
        socket.connect_addr(&SocketAddr::from_abstract_name(name).ok()?).ok()?;
        return Some(socket);
    }
    socket.connect(name).ok()?;
    Some(socket)
}
