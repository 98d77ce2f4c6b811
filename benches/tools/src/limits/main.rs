//! What a plain program reaches on this machine, for the server to be compared with: chunks decoded by the best codecs
//! there are, bytes sent over the loopback interface, one answer given by the HTTP library alone. Buffers are used again,
//! and nothing is done that the task does not need. Reports are JSON on standard output; rates are in millions of decoded
//! bytes. The HTTP library reports nothing: the load generator does.

#![allow(clippy::print_stdout, reason = "the report is what this program is for")]

mod chunks;
mod decode;
mod http;
mod tcp;

use std::{path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// What went wrong; this program ends with it.
type Failure = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Failure>;

#[derive(Debug, Parser)]
struct Options {
    #[command(subcommand)]
    limit: Limit,
}

/// Chunks are listed in JSON: `{"codec": "deflate" | "zstd" | "none", "shuffle": 4, "files": ["..."], "chunks": [[file,
/// offset, stored length, decoded length], ...]}`; a shuffle of 4 means elements of four bytes, 0 none.
#[derive(Debug, Subcommand)]
enum Limit {
    /// Decodes all chunks from memory, on one thread.
    Decode { chunks: PathBuf },
    /// Decodes all chunks on two threads and sends them in order over TCP.
    Stream { chunks: PathBuf },
    /// Reads and decodes chunks at random, for some time.
    Inflate {
        chunks: PathBuf,
        #[arg(long, default_value_t = 2)]
        threads: u64,
        #[arg(long, default_value_t = 3.0)]
        seconds: f64,
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Sends bytes over TCP: from memory, or from a file that is read block by block.
    Tcp {
        bytes: u64,
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Gives a kept answer to whoever asks, by the HTTP library that the server uses; says where.
    Http {
        /// A whole response.
        answer: PathBuf,
        /// A file to look at for each request.
        #[arg(long)]
        look: Vec<PathBuf>,
        /// A file to add a line to for each request.
        #[arg(long)]
        log: Option<PathBuf>,
    },
}

fn main() -> Result<()> {
    let report = match Options::parse().limit {
        Limit::Decode { chunks } => decode::all(&chunks::List::read(&chunks)?)?,
        Limit::Stream { chunks } => decode::stream(&chunks::List::read(&chunks)?)?,
        Limit::Inflate { chunks, threads, seconds, seed } => {
            decode::random(&chunks::List::read(&chunks)?, threads, Duration::from_secs_f64(seconds), seed)?
        }
        Limit::Tcp { bytes, file } => tcp::send(bytes, file.as_deref())?,
        Limit::Http { answer, look, log } => {
            return http::serve(&std::fs::read(answer)?, http::Chores { looks: look, log });
        }
    };
    println!("{report}");
    Ok(())
}

/// Processor seconds of this thread so far.
fn thread_cpu() -> f64 {
    seconds_of(ClockId::ThreadCPUTime)
}

/// Processor seconds of all threads so far.
fn process_cpu() -> f64 {
    seconds_of(ClockId::ProcessCPUTime)
}

fn seconds_of(clock: ClockId) -> f64 {
    Duration::try_from(clock_gettime(clock)).unwrap_or_default().as_secs_f64()
}

/// Bytes that took `wall` seconds and `cpu` seconds of processors.
fn report(bytes: u64, wall: f64, cpu: f64) -> Value {
    let millions = bytes as f64 / 1e6;
    json!({"bytes": bytes, "seconds": wall, "cpu": cpu, "rate": millions / wall, "rate_per_cpu": millions / cpu})
}
