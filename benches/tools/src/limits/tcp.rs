//! Bytes over the loopback interface, read by a thread that throws them away.

use std::{
    fs::File,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::FileExt,
    path::Path,
    thread::{self, JoinHandle},
    time::Instant,
};

use serde_json::{Value, json};

use crate::{Result, process_cpu, report, thread_cpu};

/// Bytes of one read or write.
const BLOCK: usize = 256 << 10;

/// A socket, and the thread that reads what is written to it and then tells how much it was.
pub(crate) fn pair() -> io::Result<(TcpStream, JoinHandle<io::Result<u64>>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let socket = TcpStream::connect(listener.local_addr()?)?;
    let (mut other, _) = listener.accept()?;
    let reader = thread::spawn(move || {
        let mut buffer = vec![0; BLOCK];
        let mut total = 0;
        loop {
            match other.read(&mut buffer)? {
                0 => return Ok(total),
                count => total += count as u64,
            }
        }
    });
    Ok((socket, reader))
}

/// What the reader has read, once the socket is closed.
pub(crate) fn finish(reader: JoinHandle<io::Result<u64>>) -> Result<u64> {
    Ok(reader.join().map_err(|_panic| "the reader has ended with a panic")??)
}

/// Sends so many bytes: always the same block, or what is in the file, again and again from its beginning.
pub(crate) fn send(bytes: u64, file: Option<&Path>) -> Result<Value> {
    let file = file.map(File::open).transpose()?;
    let whole = file.as_ref().map(File::metadata).transpose()?.map_or(BLOCK as u64, |data| data.len());
    if whole == 0 {
        return Err("the file is empty".into());
    }
    let (mut socket, reader) = pair()?;
    let mut block = vec![1; BLOCK];
    let (begun, cpu, own) = (Instant::now(), process_cpu(), thread_cpu());
    let mut sent = 0;
    while sent < bytes {
        let at = sent % whole;
        let len = (BLOCK as u64).min(bytes - sent).min(whole - at);
        let part = block.get_mut(..usize::try_from(len)?).ok_or("a block that is too long")?;
        if let Some(file) = &file {
            file.read_exact_at(part, at)?;
        }
        socket.write_all(part)?;
        sent += len;
    }
    drop(socket);
    // The reader's time is what the whole process took besides.
    let own = thread_cpu() - own;
    let read = finish(reader)?;
    let mut report = report(read, begun.elapsed().as_secs_f64(), process_cpu() - cpu);
    if let Some(fields) = report.as_object_mut() {
        fields.insert("rate_per_sender_cpu".into(), json!(bytes as f64 / 1e6 / own));
    }
    Ok(report)
}
