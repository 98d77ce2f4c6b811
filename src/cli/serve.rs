//! `thalweg serve`: settings to a running server.

use std::path::{Path, PathBuf};

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Failure, block_on, registry, say, stores::StoreArguments};
use crate::{
    catalog::{Catalog, DatasetName, Served},
    config::{Config, LogFormat, LogSettings, Overrides},
    server::Server,
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
    /// Shown on pages and in catalogs
    #[arg(long)]
    title: Option<String>,
    /// How log lines look: text or json
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// How long connections are still accepted after the signal to stop
    #[arg(long, value_name = "TIME")]
    drain_delay: Option<String>,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let flags: Overrides = [
        ("listen", arguments.listen),
        ("public_url", arguments.public_url),
        ("title", arguments.title),
        ("log.format", arguments.log_format),
        ("log.level", arguments.log_level),
        ("limits.drain_delay", arguments.drain_delay),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key, value?)))
    .collect();
    let mut config = arguments.stores.load(flags)?;
    if !arguments.paths.is_empty() {
        config.roots = arguments.paths;
        config.mounts = Vec::new();
    }
    if config.roots.is_empty() && config.mounts.is_empty() {
        return Err(Failure::Usage("name a folder to serve: thalweg serve PATH".to_owned()));
    }
    start_log(&config.log)?;
    block_on(serve(config))
}

async fn serve(mut config: Config) -> Result<(), Failure> {
    config.limits.open_datasets = config.limits.open_datasets.min(descriptors() / 2).min(4096);
    let locations: Vec<PathBuf> =
        config.roots.iter().chain(config.mounts.iter().map(|m| &m.location)).cloned().collect();
    let registry = registry(&config, &locations)?;
    let named = |root: &Path| Served::named(root, &registry, &config.remote);
    let places = config.roots.iter().map(|root| named(root));
    let mounted = config.mounts.iter().map(|m| Ok(named(&m.location)?.at(m.path.clone())));
    let places = places.chain(mounted).collect::<cdm::Result<_>>()?;
    let catalog = Catalog::of(places, config.limits.open_datasets, registry);
    let (roots, first) = (catalog.describe().join(", "), first_dataset(&catalog).await);
    let origin = config.public_url.clone();
    // Before the greeting: whoever reads it may send a signal.
    let mut signals = Signals::new()?;
    let server = Server::bind(config, catalog).await?;
    let address = server.address();
    let origin = origin.unwrap_or_else(|| format!("http://{address}"));
    say(format_args!("serving {roots}"));
    say(format_args!("listening on http://{address}/{}", reach(address.ip())));
    say(format_args!("browse {origin}/"));
    if let Some(name) = first {
        say(format_args!("try ncdump -h {origin}/opendap/{}", name.to_url()));
    }
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let now = async move {
        signals.next().await;
        // The server may have ended already.
        let _ = stop.send(());
        signals.next().await;
    };
    let stop = async move {
        let _ = stopped.await;
    };
    server.run(stop, now).await;
    Ok(())
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

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The first dataset by name, looking into few folders only: a start must not scan.
async fn first_dataset(catalog: &Catalog) -> Option<DatasetName> {
    let mut waiting = std::collections::VecDeque::from([DatasetName::top()]);
    for _ in 0..FOLDERS_SEEN {
        let folder = waiting.pop_front()?;
        let Ok(listing) = catalog.list(&folder).await else { continue };
        if let Some(entry) = listing.datasets.first() {
            return Some(folder.join(&entry.name));
        }
        waiting.extend(listing.folders.iter().map(|name| folder.join(name)));
    }
    None
}

/// Raises the number of files and sockets this process may hold to what it is allowed, and says how many.
fn descriptors() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
    .unwrap_or(u64::MAX)
}

fn start_log(settings: &LogSettings) -> Result<(), Failure> {
    let filter = settings
        .level
        .parse::<tracing_subscriber::EnvFilter>()
        .map_err(|e| Failure::Usage(format!("log.level: {e}")))?;
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    let outcome = match settings.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    outcome.map_err(Failure::failed)
}
