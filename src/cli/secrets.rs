//! `thalweg hash-password`, `thalweg hash-token`: secrets to what the settings keep of them.

use std::io::{self, BufRead, IsTerminal, Write};

use super::{Failure, say};
use crate::access;

/// Characters of a secret that are read.
const LONGEST: u64 = 64 << 10;

/// Prints the argon2id hash of a password that is read from standard input.
pub(super) fn hash_password() -> Result<(), Failure> {
    let password = secret("password")?;
    let hash = access::hash(&password).map_err(Failure::Failed)?;
    Ok(writeln!(io::stdout().lock(), "{hash}")?)
}

/// Prints the SHA-256 of a token that is read from standard input; of a new one, and that, when there is none.
pub(super) fn hash_token(is_new: bool) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let token = if is_new {
        let token = access::new_secret().map_err(Failure::Failed)?;
        writeln!(out, "token   {token}")?;
        token
    } else {
        secret("token")?
    };
    let label = if is_new { "sha256  " } else { "" };
    Ok(writeln!(out, "{label}{}", access::token_hash(&token))?)
}

/// The first line of standard input: an argument would be in the shell's history and in everybody's list of processes.
fn secret(noun: &str) -> Result<String, Failure> {
    let input = io::stdin();
    if input.is_terminal() {
        say(format_args!("type the {noun} (it is shown as you type), then Enter:"));
    }
    let mut line = String::new();
    io::Read::take(input.lock(), LONGEST).read_line(&mut line)?;
    let secret = line.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(Failure::Usage(format!("no {noun} on standard input")));
    }
    Ok(secret.to_owned())
}
