//! One client of the guard: its bytes go to dockerd and dockerd's to it, each direction to its own end, and a prune of unused
//! images is answered in between.

use std::io;
use std::path::Path;
use std::time::Duration;

use kubake_contract::error_chain::chain;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::engine::Engine;
use super::prune::Prune;
use super::requests::{Piece, Requests};
use crate::docker_proxy;

/// Size of the buffer for each direction; build contexts and image archives are large.
const BUFFER: usize = 64 * 1024;
/// Limit on a connection to dockerd, which accepts at once when it works.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves one client until both directions have ended.
pub(super) async fn serve(mut client: UnixStream, socket: &Path) -> io::Result<()> {
    let connected = match timeout(CONNECT_TIMEOUT, UnixStream::connect(socket)).await {
        Ok(connected) => connected,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    let Ok(dockerd) = connected else { return docker_proxy::turn_away(&mut client).await };
    let (from_client, to_client) = client.into_split();
    let (from_dockerd, to_dockerd) = dockerd.into_split();
    // No client sends the next request before it has the answer to the last, so nothing waits for this lock.
    let to_client = Mutex::new(to_client);
    let engine = Engine::new(socket);
    tokio::try_join!(up(from_client, to_dockerd, &to_client, &engine), down(from_dockerd, &to_client))?;
    Ok(())
}

async fn up(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    back: &Mutex<impl AsyncWrite + Unpin>,
    engine: &Engine,
) -> io::Result<()> {
    let mut requests = Requests::default();
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        for piece in requests.feed(&buffer[..length]) {
            match piece {
                Piece::Pass(bytes) => to.write_all(&bytes).await?,
                Piece::Prune(target) => match Prune::parse(&target) {
                    Some(prune) => {
                        let answer = answered(prune, engine).await;
                        back.lock().await.write_all(answer.as_bytes()).await?;
                    }
                    None => to.write_all(plain(&target).as_bytes()).await?,
                },
            }
        }
    }
}

async fn down(mut from: impl AsyncRead + Unpin, to: &Mutex<impl AsyncWrite + Unpin>) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = from.read(&mut buffer).await?;
        let mut to = to.lock().await;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..length]).await?;
    }
}

async fn answered(prune: Prune, engine: &Engine) -> String {
    match prune.run(engine).await {
        Ok(report) => answer("200 OK", &report),
        Err(error) => answer("500 Internal Server Error", &json!({ "message": chain(&error) })),
    }
}

fn answer(status: &str, body: &Value) -> String {
    let body = format!("{body}\n");
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A prune that is dockerd's, without a body, which the API does not read.
fn plain(target: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: docker\r\nContent-Length: 0\r\n\r\n")
}
