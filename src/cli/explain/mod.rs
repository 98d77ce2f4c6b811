//! `thalweg explain`: what a URL of a server means, and what answering it would take, without asking the server.
//!
//! The URL is taken apart by the server's own routes and answered by its own front ends, over an engine that counts
//! what it would read (`handlers::chunked::Rehearsal`). Here is what is told and how it is said; finding it out is in
//! `told`.

mod address;
mod told;

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    path::PathBuf,
};

use clap::Args;

use self::{
    address::Address,
    told::{Check, Reads, Told},
};
use super::{Failure, assemble::assemble, block_on, serve::descriptors, stores::StoreArguments};
use crate::config::Inputs;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The URL, or what of it comes after the host
    url: String,
    /// Folders, files and URLs of object stores that are served, as for `thalweg serve`
    paths: Vec<PathBuf>,
    #[command(flatten)]
    stores: StoreArguments,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let inputs = Inputs { places: arguments.paths.clone(), ..arguments.stores.inputs(Vec::new()) };
    let told = block_on(async {
        let assembled = assemble(&inputs, descriptors(), None)?.with_something()?;
        let config = &assembled.loaded.config;
        let address = Address::parse(&arguments.url, config.public_url.as_deref()).map_err(Failure::Usage)?;
        Ok(told::told(address, config, &assembled.catalog).await)
    })?;
    let mut out = io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &told).map_err(Failure::failed)?;
        writeln!(out)?;
    } else {
        out.write_all(text(&told).as_bytes())?;
    }
    if told.is_answered() { Ok(()) } else { Err(Failure::Reported) }
}

/// What was found, for people.
fn text(told: &Told) -> String {
    let mut out = String::new();
    let mut line = |name: &str, text: &str| {
        // Writing to a text cannot fail.
        let _ = writeln!(out, "{name:<11}{text}");
    };
    line("asks for", &told.asks_for);
    if let Some(dataset) = &told.dataset {
        let format = told.format.map(|format| format!(" ({format})")).unwrap_or_default();
        line("dataset", &format!("{dataset}{format}"));
    }
    for variable in told.variables.iter().flatten() {
        let dimensions: String = variable
            .dimensions
            .iter()
            .map(|(name, size)| match name {
                Some(name) => format!("[{name} = {size}]"),
                None => format!("[{size}]"),
            })
            .collect();
        line("variable", &format!("{} {}{dimensions}", variable.data_type, variable.name));
    }
    match (&told.problem, told.bytes) {
        (Some(problem), _) => line("answer", &format!("{} {problem}", told.status)),
        (None, Some(bytes)) => {
            line("answer", &format!("{}, {} ({})", told.status, bytes_of(bytes), told.media_type));
        }
        (None, None) => {
            line(
                "answer",
                &format!("{}, of a length that is known when it is made ({})", told.status, told.media_type),
            );
        }
    }
    if let Some(reads) = &told.reads {
        line("reads", &reads_of(reads));
    }
    for Check { name, value, limit, holds } in &told.checks {
        let verdict = if *holds { "within" } else { "more than" };
        line("limit", &format!("{name}: {} is {verdict} {}", bytes_of(*value), bytes_of(*limit)));
    }
    if let Some(time) = &told.time {
        line("time", &format!("about {}: {}", seconds(time.seconds), time.basis));
    }
    for note in &told.notes {
        line("note", note);
    }
    out
}

fn reads_of(reads: &Reads) -> String {
    let least = if reads.is_part { "at least " } else { "" };
    let mut text = format!(
        "{least}{} of {} in {}, {}",
        bytes_of(reads.bytes),
        count(reads.chunks, "chunk"),
        count(reads.objects, "file"),
        match reads.encoded {
            0 => "none to decode".to_owned(),
            n if n == reads.chunks => "all to decode".to_owned(),
            n => format!("{n} to decode"),
        }
    );
    if reads.unwritten > 0 {
        let _ = write!(text, "; {} never written", count(reads.unwritten, "chunk"));
    }
    if reads.unknown > 0 {
        let _ = write!(text, "; and {} whose length only the store knows", count(reads.unknown, "chunk"));
    }
    text
}

fn count(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// `1,234,567 bytes (1.2 MiB)`.
fn bytes_of(bytes: u64) -> String {
    let digits = bytes.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let mut size = bytes as f64;
    let mut unit = "";
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if size < 1024.0 {
            break;
        }
        (size, unit) = (size / 1024.0, next);
    }
    let rounded = if unit.is_empty() { String::new() } else { format!(" ({size:.1} {unit})") };
    format!("{grouped} byte{}{rounded}", if bytes == 1 { "" } else { "s" })
}

fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => format!("{:.0} ms", (s * 1000.0).max(1.0)),
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(bytes_of(1), "1 byte");
        assert_eq!(bytes_of(1023), "1,023 bytes");
        assert_eq!(bytes_of(1_234_567), "1,234,567 bytes (1.2 MiB)");
        assert_eq!([seconds(0.0), seconds(1.5), seconds(600.0)], ["1 ms", "1.5 s", "10 min"]);
    }
}
