//! How fast chunks are decoded: on one thread, on two that a stream is sent from, and at random.

use std::{
    io::Write,
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    Result,
    chunks::{Decoder, List},
    process_cpu, report, tcp, thread_cpu,
};

/// Decoded chunks that wait for their turn, for each of the two threads that decode.
const AHEAD: usize = 4;

/// All chunks, on this thread; their stored bytes are in memory before the clock runs.
pub(crate) fn all(list: &List) -> Result<Value> {
    let stored = list.chunks.iter().map(|&chunk| {
        let mut stored = Vec::new();
        list.fetch(chunk, &mut stored).map(|()| stored)
    });
    let stored: Vec<_> = stored.collect::<Result<_>>()?;
    let (mut decoder, mut out) = (Decoder::new(), Vec::new());
    let (begun, cpu) = (Instant::now(), thread_cpu());
    for (&chunk, stored) in list.chunks.iter().zip(&stored) {
        decoder.decode(list, chunk, stored, &mut out)?;
    }
    Ok(report(list.decoded_len(), begun.elapsed().as_secs_f64(), thread_cpu() - cpu))
}

/// All chunks: two threads read and decode every second one each, this one sends them in order.
pub(crate) fn stream(list: &List) -> Result<Value> {
    let (mut socket, reader) = tcp::pair()?;
    let (begun, cpu) = (Instant::now(), process_cpu());
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..2)
            .map(|first| {
                let (ready, decoded) = sync_channel(AHEAD);
                let (give_back, empty) = sync_channel(AHEAD);
                let lane = scope.spawn(move || decode_lane(list, first, &ready, &empty));
                (lane, decoded, give_back)
            })
            .collect();
        let mut turn = lanes.iter().cycle();
        for _ in &list.chunks {
            let Some((_, decoded, give_back)) = turn.next() else { break };
            // A thread that failed says so when it is joined.
            let Ok(block) = decoded.recv() else { break };
            socket.write_all(&block)?;
            // The thread may have decoded its last and be gone.
            let _ = give_back.try_send(block);
        }
        for (lane, decoded, _) in lanes {
            drop(decoded);
            lane.join().map_err(|_panic| "a thread has ended with a panic")??;
        }
        Result::Ok(())
    })?;
    drop(socket);
    let read = tcp::finish(reader)?;
    if read != list.decoded_len() {
        return Err(format!("{read} bytes were read").into());
    }
    Ok(report(read, begun.elapsed().as_secs_f64(), process_cpu() - cpu))
}

/// Decodes every second chunk into buffers that come back when they have been sent.
fn decode_lane(
    list: &List,
    first: usize,
    ready: &SyncSender<Vec<u8>>,
    empty: &Receiver<Vec<u8>>,
) -> Result<()> {
    let (mut decoder, mut stored) = (Decoder::new(), Vec::new());
    for &chunk in list.chunks.iter().skip(first).step_by(2) {
        let mut out = empty.try_recv().unwrap_or_default();
        list.fetch(chunk, &mut stored)?;
        decoder.decode(list, chunk, &stored, &mut out)?;
        if ready.send(out).is_err() {
            break;
        }
    }
    Ok(())
}

/// Chunks in an order that `seed` gives, read and decoded by `threads` threads for `time`.
pub(crate) fn random(list: &List, threads: u64, time: Duration, seed: u64) -> Result<Value> {
    let (done, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
    let (begun, cpu) = (Instant::now(), process_cpu());
    thread::scope(|scope| {
        let worker = |mut state: u64| {
            let (mut decoder, mut stored, mut out) = (Decoder::new(), Vec::new(), Vec::new());
            while begun.elapsed() < time {
                // The high bits of a linear congruential generator are random enough here.
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let index = usize::try_from((state >> 33) % list.chunks.len() as u64)?;
                let chunk = *list.chunks.get(index).ok_or("no such chunk")?;
                list.fetch(chunk, &mut stored)?;
                decoder.decode(list, chunk, &stored, &mut out)?;
                done.fetch_add(1, Ordering::Relaxed);
                bytes.fetch_add(out.len() as u64, Ordering::Relaxed);
            }
            Result::Ok(())
        };
        let workers: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || worker(seed + (thread << 32)))).collect();
        for worker in workers {
            worker.join().map_err(|_panic| "a thread has ended with a panic")??;
        }
        Result::Ok(())
    })?;
    let wall = begun.elapsed().as_secs_f64();
    let mut report = report(bytes.into_inner(), wall, process_cpu() - cpu);
    if let Some(fields) = report.as_object_mut() {
        fields.insert("chunks_per_second".into(), json!(done.into_inner() as f64 / wall));
    }
    Ok(report)
}
