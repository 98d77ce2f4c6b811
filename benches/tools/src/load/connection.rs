//! One connection: requests sent, answers read and thrown away.

use std::{
    io::{self, ErrorKind},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime,
    task::JoinSet,
    time::{sleep, timeout_at},
};

use crate::{plan::Plan, report::Record};

/// Room for a head, and what bodies are read into.
const BUFFER: usize = 256 << 10;

/// How long a connection rests after an error, so that a server which refuses is not asked in a tight loop.
const REST: Duration = Duration::from_millis(20);

/// Runs the connections with these numbers on this thread until the plan ends.
pub(crate) fn run(plan: &Arc<Plan>, connections: impl Iterator<Item = usize>) -> io::Result<Record> {
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut tasks: JoinSet<Record> = connections.map(|_| connection(Arc::clone(plan))).collect();
        let mut total = Record::default();
        while let Some(record) = tasks.join_next().await {
            total.add(record.map_err(io::Error::other)?);
        }
        Ok(total)
    })
}

async fn connection(plan: Arc<Plan>) -> Record {
    let mut record = Record::default();
    let ended = timeout_at(plan.end.into(), ask_on(&plan, &mut record)).await;
    if ended.is_err() && record.bytes == 0 {
        record.starved = 1;
    }
    record
}

/// Asks until there is nothing more to ask; an error ends the connection, and the next request makes a new one.
async fn ask_on(plan: &Plan, record: &mut Record) {
    let mut open = None;
    while let Some(request) = plan.next() {
        let begun = Instant::now();
        match ask(plan, &mut open, request, &mut record.bytes).await {
            Ok(first) => {
                let now = Instant::now();
                if now >= plan.start {
                    record.times.push(microseconds(now - begun));
                    record.firsts.push(microseconds(first - begun));
                    record.last = Some(now);
                }
            }
            Err(error) => {
                record.wrong(error.to_string());
                open = None;
                sleep(REST).await;
            }
        }
    }
}

fn microseconds(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

/// One request and its answer, and when that began; on the open connection if there is one that the server has not closed.
async fn ask(
    plan: &Plan,
    open: &mut Option<Connection>,
    request: &[u8],
    bytes: &mut u64,
) -> io::Result<Instant> {
    let mut connection = match open.take() {
        Some(connection) => connection,
        None => Connection::open(plan).await?,
    };
    connection.stream.write_all(request).await?;
    let answer = connection.answer(bytes).await?;
    if answer.status != 200 {
        return Err(io::Error::other(format!("status {}", answer.status)));
    }
    if plan.length.is_some_and(|length| length != answer.length) {
        return Err(io::Error::other(format!("a body of {} bytes", answer.length)));
    }
    if answer.stays {
        *open = Some(connection);
    }
    Ok(answer.begun)
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    buffer: Box<[u8]>,
    /// What of the buffer has been read from the stream and not been used.
    unused: std::ops::Range<usize>,
    rate: Option<u32>,
}

#[derive(Debug)]
struct Answer {
    begun: Instant,
    status: u16,
    /// Of the body.
    length: u64,
    /// The connection can be used again.
    stays: bool,
}

/// How the end of a body is found.
#[derive(Debug, Clone, Copy)]
enum Body {
    Length(u64),
    Chunked,
    UntilClosed,
}

impl Connection {
    async fn open(plan: &Plan) -> io::Result<Self> {
        let stream = TcpStream::connect(plan.server).await?;
        stream.set_nodelay(true)?;
        // A slow reader takes a little at a time.
        let size = plan.rate.map_or(BUFFER, |_| BUFFER / 16);
        Ok(Self { stream, buffer: vec![0; size].into(), unused: 0..0, rate: plan.rate })
    }

    /// Reads an answer to its end; what came of its body is added to `bytes` as it comes.
    async fn answer(&mut self, bytes: &mut u64) -> io::Result<Answer> {
        self.fill().await?;
        let begun = Instant::now();
        let (status, body, stays) = loop {
            if let Some(head) = self.head()? {
                break head;
            }
            self.fill().await?;
        };
        let before = *bytes;
        match body {
            Body::Length(length) => self.skip(length, bytes).await?,
            Body::Chunked => self.skip_chunks(bytes).await?,
            Body::UntilClosed => loop {
                *bytes += self.unused.len() as u64;
                self.unused = 0..0;
                match self.fill().await {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
                    Err(error) => return Err(error),
                }
            },
        }
        Ok(Answer { begun, status, length: *bytes - before, stays })
    }

    /// Status, body and whether the connection stays, once the whole head is there.
    fn head(&mut self) -> io::Result<Option<(u16, Body, bool)>> {
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut fields);
        let read = self.buffer.get(self.unused.clone()).unwrap_or_default();
        let httparse::Status::Complete(len) = head.parse(read).map_err(io::Error::other)? else {
            return Ok(None);
        };
        let mut body = Body::UntilClosed;
        let mut stays = head.version == Some(1);
        for field in head.headers.iter() {
            let value = str::from_utf8(field.value).unwrap_or_default();
            if field.name.eq_ignore_ascii_case("content-length") {
                body = Body::Length(value.parse().map_err(io::Error::other)?);
            } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
                body = Body::Chunked;
            } else if field.name.eq_ignore_ascii_case("connection") {
                stays = !value.eq_ignore_ascii_case("close");
            }
        }
        let status = head.code.unwrap_or_default();
        self.unused.start += len;
        Ok(Some((status, body, stays && !matches!(body, Body::UntilClosed))))
    }

    async fn skip_chunks(&mut self, bytes: &mut u64) -> io::Result<()> {
        loop {
            let read = self.buffer.get(self.unused.clone()).unwrap_or_default();
            match httparse::parse_chunk_size(read).map_err(|e| io::Error::other(e.to_string()))? {
                httparse::Status::Partial => self.fill().await?,
                httparse::Status::Complete((len, size)) => {
                    self.unused.start += len;
                    self.skip(size, bytes).await?;
                    // The line's end, which is not of the body; there are no trailers.
                    self.skip(2, &mut 0).await?;
                    if size == 0 {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn skip(&mut self, mut len: u64, bytes: &mut u64) -> io::Result<()> {
        loop {
            let now = self.unused.len().min(usize::try_from(len).unwrap_or(usize::MAX));
            self.unused.start += now;
            len -= now as u64;
            *bytes += now as u64;
            if len == 0 {
                return Ok(());
            }
            self.fill().await?;
        }
    }

    /// Reads more behind what is unused; an error at the end of the stream.
    async fn fill(&mut self) -> io::Result<()> {
        if self.unused.is_empty() {
            self.unused = 0..0;
        } else if self.unused.start > 0 {
            self.buffer.copy_within(self.unused.clone(), 0);
            self.unused = 0..self.unused.len();
        }
        let room = self.buffer.get_mut(self.unused.end..).unwrap_or_default();
        if room.is_empty() {
            return Err(io::Error::other("a head that is too long"));
        }
        let count = self.stream.read(room).await?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.unused.end += count;
        if let Some(rate) = self.rate {
            sleep(Duration::from_secs_f64(count as f64 / f64::from(rate))).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
    };

    use clap::Parser;

    use super::*;
    use crate::Options;

    /// What `answers` (sent one after the other, each on a request, the connection closed after an empty one) are taken
    /// for: how many good ones, bytes of bodies, what was wrong.
    fn check(answers: &[&str], length: Option<u64>) -> (usize, u64, Vec<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let count = answers.iter().filter(|answer| !answer.is_empty()).count().to_string();
        let mut options = Options::parse_from(["load", &address, "/a", "--requests", &count]);
        options.length = length;
        let plan = Arc::new(Plan::new(&options));
        let record = thread::scope(|scope| {
            scope.spawn(|| {
                let mut stream = listener.accept().unwrap().0;
                for answer in answers {
                    if answer.is_empty() {
                        stream = listener.accept().unwrap().0;
                        continue;
                    }
                    assert!(stream.read(&mut [0; 1000]).unwrap() > 0);
                    // In two parts, so that heads and chunks come in pieces.
                    let (first, second) = answer.split_at(answer.len() / 3);
                    stream.write_all(first.as_bytes()).unwrap();
                    thread::sleep(Duration::from_millis(5));
                    stream.write_all(second.as_bytes()).unwrap();
                }
            });
            run(&plan, 0..1).unwrap()
        });
        (record.times.len(), record.bytes, record.errors.into_keys().collect())
    }

    #[test]
    fn bodies_end_where_their_heads_say() {
        let known = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345";
        let chunked =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n";
        assert_eq!(check(&[known, chunked, known], None), (3, 23, vec![]));
    }

    #[test]
    fn a_connection_that_the_server_closes_is_made_again() {
        let closes = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n12";
        let until_closed = "HTTP/1.0 200 OK\r\n\r\n1234567";
        assert_eq!(check(&[closes, "", closes, "", until_closed], None), (3, 11, vec![]));
    }

    #[test]
    fn what_was_not_expected_is_an_error_and_has_no_time() {
        let refused = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(check(&[refused], None), (0, 0, vec!["status 503".to_owned()]));
        let short = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n12";
        assert_eq!(check(&[short], Some(3)), (0, 2, vec!["a body of 2 bytes".to_owned()]));
        let cut = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n12";
        assert_eq!(check(&[cut], None).0, 0);
    }
}
