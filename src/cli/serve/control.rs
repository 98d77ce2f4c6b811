//! `thalweg reload`, and the server's side of it: one question over a socket of this machine.
//!
//! The socket has a name that follows from the port the server listens on, in the kernel's own space of
//! names (Linux): there is no file to find, to guard or to leave behind. Only the server's own user and root
//! are heard.

use std::{
    io::{self, Write},
    time::Duration,
};

use clap::Args;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::{mpsc, oneshot},
};

use super::super::{Failure, block_on, stores::StoreArguments};
use crate::config::Overrides;

/// How long the server waits for the question.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the answer may take: places are opened for it.
const LONGEST: Duration = Duration::from_secs(120);

/// What came of a reload: what changed, or every problem on a line of its own.
pub(super) type Outcome = Result<String, String>;

/// Somebody who asked for a reload and waits to hear of it.
pub(super) type Asked = oneshot::Sender<Outcome>;

/// The flags of `thalweg reload`.
#[derive(Debug, Args)]
pub(in super::super) struct Arguments {
    /// Address and port that the server listens on [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    #[command(flatten)]
    stores: StoreArguments,
}

fn name(port: u16) -> String {
    format!("\0thalweg-{port}")
}

/// Passes on who asks at the socket of the server at `port`, as long as it is polled.
pub(super) async fn listen(port: u16, asked: mpsc::Sender<Asked>) {
    let listener = match UnixListener::bind(name(port)) {
        Ok(listener) => listener,
        Err(e) => {
            tracing::warn!(error = %e, "thalweg reload will not find this server; SIGHUP does the same");
            return std::future::pending().await;
        }
    };
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let own = rustix::process::geteuid().as_raw();
        let is_trusted = stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == own);
        if is_trusted {
            answer(stream, &asked).await;
        } else {
            tracing::warn!("another user asked for a reload and was refused");
        }
    }
}

async fn answer(mut stream: UnixStream, asked: &mpsc::Sender<Asked>) {
    let mut question = [0; 7];
    let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut question)).await;
    if !matches!(read, Ok(Ok(_))) || &question != b"reload\n" {
        return;
    }
    let (tell, told) = oneshot::channel();
    if asked.send(tell).await.is_err() {
        return;
    }
    let Ok(outcome) = told.await else { return };
    let text = match outcome {
        Ok(text) => format!("+{text}"),
        Err(text) => format!("-{text}"),
    };
    // Whoever asked may have gone.
    let _ = tokio::time::timeout(PATIENCE, stream.write_all(text.as_bytes())).await;
}

/// Asks the server for a reload and says what came of it.
pub(in super::super) fn reload(arguments: &Arguments) -> Result<(), Failure> {
    let flags: Overrides = arguments.listen.iter().map(|text| ("listen", text.clone())).collect();
    // Only where the server is matters here; what else the file says, and what is wrong with it, is for the
    // server to find, which reads it with its own flags and environment.
    let loaded = arguments.stores.inputs(flags).read();
    let address = loaded.config.listen;
    block_on(async {
        let ask = async {
            let mut stream = UnixStream::connect(name(address.port())).await?;
            stream.write_all(b"reload\n").await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, io::Error>(answer)
        };
        let answer = match tokio::time::timeout(LONGEST, ask).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(e)) => {
                return Err(Failure::Failed(format!(
                    "no server answers that listens on port {} of this machine: {e}; name its address: thalweg reload --listen ADDR",
                    address.port()
                )));
            }
            Err(_) => return Err(Failure::Failed("the server has not answered in time".to_owned())),
        };
        match answer.split_at_checked(1) {
            Some(("+", text)) => Ok(writeln!(io::stdout().lock(), "{text}")?),
            Some(("-", text)) => Err(Failure::Failed(text.to_owned())),
            _ => Err(Failure::Failed("the server refused to reload for this user".to_owned())),
        }
    })
}
