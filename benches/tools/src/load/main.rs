//! A closed-loop HTTP/1.1 load generator: each connection asks for the next target as soon as it has the answer to the
//! one before. It shares the machine with the server that it asks, so it does as little as it can: threads that share
//! nothing, answers thrown away as they come, numbers worked out at the end.
//!
//! What is not an answer with status 200 (and of the length that was promised, when one was) is an error, as are
//! connections that cannot be made; they count in no time or rate. The report is JSON on standard output.

#![allow(clippy::print_stdout, reason = "the report is what this program is for")]

mod connection;
mod plan;
mod report;

use std::{error::Error, fs, net::SocketAddr, path::PathBuf, sync::Arc, thread};

use clap::Parser;

use crate::{plan::Plan, report::Record};

/// Asks a server on this machine for the same targets again and again and reports rates and times.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// Where the server listens, e.g. 127.0.0.1:8080.
    server: SocketAddr,
    /// Paths with their queries, as they are sent.
    targets: Vec<String>,
    /// A file with more targets, one on each line.
    #[arg(long)]
    from: Option<PathBuf>,
    /// Connections, each with one request at a time.
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Threads that share the connections; at most one for each.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Ends after this time.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// What is answered in this time before is not counted.
    #[arg(long, default_value_t = 0.0)]
    warmup: f64,
    /// Ends after so many requests, if that is sooner.
    #[arg(long)]
    requests: Option<u64>,
    /// Takes targets at random, by this seed, instead of in turn.
    #[arg(long)]
    random: Option<u64>,
    /// Bytes a second that each connection reads at most: a slow reader.
    #[arg(long)]
    rate: Option<u32>,
    /// How long each body must be.
    #[arg(long)]
    length: Option<u64>,
    /// More header fields, e.g. "Accept-Encoding: gzip".
    #[arg(long)]
    header: Vec<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut options = Options::parse();
    if let Some(file) = &options.from {
        options.targets.extend(fs::read_to_string(file)?.lines().map(str::to_owned));
    }
    if options.targets.is_empty() || options.connections == 0 {
        return Err("no targets or no connections".into());
    }
    let threads = options.threads.clamp(1, options.connections);
    let plan = Arc::new(Plan::new(&options));
    let workers: Vec<_> = (0..threads)
        .map(|thread| {
            let plan = Arc::clone(&plan);
            let connections = (thread..options.connections).step_by(threads);
            thread::spawn(move || connection::run(&plan, connections))
        })
        .collect();
    let mut total = Record::default();
    for worker in workers {
        total.add(worker.join().map_err(|_panic| "a thread has ended with a panic")??);
    }
    println!("{}", serde_json::to_string(&total.report(&plan))?);
    Ok(())
}
