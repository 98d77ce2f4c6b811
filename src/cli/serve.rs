//! `thalweg serve`: settings to a running server.

mod control;
mod log;
mod notify;
mod reload;

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

pub(super) use self::control::{Arguments as ReloadArguments, reload};
use self::{
    notify::Notify,
    reload::{Reloader, stamp},
};
use super::{
    Failure,
    assemble::{Assembled, assemble},
    block_on, say,
    stores::StoreArguments,
};
use crate::{
    catalog::{Catalog, DatasetName},
    config::{Inputs, Manager, Stamp},
    server::{Server, Setup, Stop},
};

/// Folders looked through for a dataset to name in the greeting.
const FOLDERS_SEEN: usize = 20;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Folders, files and URLs of object stores to serve
    paths: Vec<PathBuf>,
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    #[command(flatten)]
    stores: StoreArguments,
    /// The URL clients use, when the server is behind a proxy
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// The content folder of a THREDDS data server, whose catalogs are served
    #[arg(long, value_name = "FOLDER")]
    thredds: Option<String>,
    /// Shown on pages and in catalogs
    #[arg(long)]
    title: Option<String>,
    /// How log lines look: text or json
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// How long connections are still accepted after SIGTERM
    #[arg(long, value_name = "TIME")]
    drain_delay: Option<String>,
}

impl Arguments {
    /// Where the settings are read from.
    pub(super) fn inputs(&self) -> Inputs {
        let flags = [
            ("listen", &self.listen),
            ("public_url", &self.public_url),
            ("title", &self.title),
            ("thredds.content", &self.thredds),
            ("log.format", &self.log_format),
            ("log.level", &self.log_level),
            ("limits.drain_delay", &self.drain_delay),
        ];
        let flags = flags.into_iter().filter_map(|(key, value)| Some((key, value.clone()?)));
        let places = self.paths.clone();
        Inputs { places, ..self.stores.inputs(flags.collect()) }
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    block_on(serve(arguments.inputs()))
}

async fn serve(inputs: Inputs) -> Result<(), Failure> {
    let descriptors = descriptors();
    let seen = stamp(&inputs);
    let Assembled { loaded, catalog, access: rights, tls, kept } =
        assemble(&inputs, descriptors, None)?.with_something()?;
    let config = loaded.config.clone();
    let catalog = match config.collections.files() {
        Some(files) => catalog.with_kept_summaries(files),
        None => catalog,
    };
    let level = log::start(&config.log)?;
    tell_content(&catalog);
    let (roots, first) = (catalog.describe().join(", "), first_dataset(&catalog).await);
    let origin = config.public_url.clone();
    // Before the greeting: whoever reads it may send a signal.
    let mut signals = Signals::new()?;
    let hangup = signal(SignalKind::hangup())?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let access = log::access(&config.log);
    let server = Server::bind(Setup { config, catalog, access: rights, tls }).await?;
    server.log_to(access);
    let address = server.address();
    let control = server.control();
    let (asked, reloads) = mpsc::channel(1);
    let seen = (seen, Stamp::of(kept.files()));
    let notify = Arc::new(Notify::new(Manager::of_environment().as_ref()));
    let reloader =
        Reloader { inputs, seen, descriptors, control, level, loaded, kept, notify: Arc::clone(&notify) };
    let origin = origin.unwrap_or_else(|| format!("{scheme}://{address}"));
    say(format_args!("serving {roots}"));
    say(format_args!("listening on {scheme}://{address}/{}", reach(address.ip())));
    if let Some(address) = server.metrics_address() {
        say(format_args!("metrics on http://{address}/-/metrics"));
    }
    say(format_args!("browse {origin}/"));
    if let Some(name) = first {
        say(format_args!("try ncdump -h {origin}/opendap/{}", name.to_url()));
    }
    let (tell, told) = tokio::sync::oneshot::channel();
    let manager = Arc::clone(&notify);
    let now = async move {
        let stop = signals.next().await;
        manager.stopping();
        // The server may have ended already.
        let _ = tell.send(stop);
        signals.next().await;
    };
    let stop = async move { told.await.unwrap_or(Stop::Prompt) };
    notify.ready();
    tokio::select! {
        () = notify.live() => {}
        () = server.run(stop, now) => {}
        () = reloader.run(hangup, reloads) => {}
        () = control::listen(address.port(), asked) => {}
    }
    Ok(())
}

/// Says in the log what a THREDDS content folder has that is not served.
fn tell_content(catalog: &Catalog) {
    for problem in catalog.content_problems() {
        tracing::warn!(place = %problem.place, "{}: {}", problem.what, problem.consequence);
    }
}

fn reach(ip: std::net::IpAddr) -> &'static str {
    if ip.is_loopback() { " (this machine only; --listen 0.0.0.0:8080 opens it to others)" } else { "" }
}

/// The signals that ask a process to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The next of them: who presses Ctrl-C waits for the end, who sends SIGTERM has others to tell.
    async fn next(&mut self) -> Stop {
        tokio::select! {
            _ = self.terminate.recv() => Stop::Drain,
            _ = self.interrupt.recv() => Stop::Prompt,
        }
    }
}

/// The first dataset by name, looking into few folders only: a start must not scan.
async fn first_dataset(catalog: &Catalog) -> Option<DatasetName> {
    let mut waiting = std::collections::VecDeque::from([DatasetName::top()]);
    for _ in 0..FOLDERS_SEEN {
        let folder = waiting.pop_front()?;
        // Bare: nobody has asked for what the datasets are about, and finding out opens all of them.
        let Ok(listing) = catalog.list_bare(&folder).await else { continue };
        if let Some(entry) = listing.datasets.first() {
            return Some(folder.join(&entry.name));
        }
        waiting.extend(listing.folders.iter().map(|name| folder.join(name)));
    }
    None
}

/// Raises the number of files and sockets this process may hold to what it is allowed, and says how many.
pub(super) fn descriptors() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
    .unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use handlers::{
        Registry,
        chunked::{Engine, EngineOptions},
    };

    use super::*;

    #[tokio::test]
    async fn a_start_asks_for_no_summaries() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.nc"), b"CDF\x01").unwrap();
        let registry = Registry::new(Arc::new(Engine::new(EngineOptions::default())));
        let catalog = Catalog::new(&[folder.path().to_owned()], 16, registry).unwrap();
        assert_eq!(first_dataset(&catalog).await.unwrap().as_str(), "a.nc");
        assert!(catalog.summaries().take().is_none());
        catalog.list(&DatasetName::top()).await.unwrap();
        assert!(catalog.summaries().take().is_some(), "who lists the folder does ask");
    }
}
