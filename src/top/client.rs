//! Asks a daemon how things stand: one short connection for each look, bounded
//! in time and size, and nothing that it says can steer the terminal.

use crate::admin::status::Status;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// An answer that takes longer is given up.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Octets of an answer: ten thousand zones, and more is a mistake.
const MOST: usize = 64 << 20;

/// What is asked for.
const PATH: &str = "/status.json";

/// Why there is no answer.
#[derive(Debug)]
pub enum Unreached {
    /// No connection.
    Connect(io::Error),
    /// A connection, and then not what HTTP is.
    Http(String),
    /// Too slow.
    Late,
    /// Another answer.
    Refused(StatusCode),
    /// An answer that is no status.
    Json(serde_json::Error),
}

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreached::Connect(error) => {
                // The number behind the words says nothing more.
                let words = error.to_string();
                f.write_str(words.split(" (os error").next().unwrap_or_default())
            }
            Unreached::Http(error) => write!(f, "what is there speaks no HTTP: {error}"),
            Unreached::Late => write!(f, "no answer within {}s", PATIENCE.as_secs()),
            Unreached::Refused(code) => {
                write!(f, "it answers {} to {PATH}, so it is no --admin address", code.as_u16())
            }
            Unreached::Json(error) => write!(f, "{PATH} is no status of gathersrv: {error}"),
        }
    }
}

/// How things stand at an admin address.
pub async fn look(admin: SocketAddr) -> Result<Status, Unreached> {
    match tokio::time::timeout(PATIENCE, get(admin)).await {
        Ok(body) => read(&body?),
        Err(_) => Err(Unreached::Late),
    }
}

async fn get(admin: SocketAddr) -> Result<Bytes, Unreached> {
    let http = |error: hyper::Error| Unreached::Http(error.to_string());
    let stream = TcpStream::connect(admin).await.map_err(Unreached::Connect)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(http)?;
    let moved = tokio::spawn(connection);
    let done = async {
        let request = Request::get(PATH)
            .header("host", admin.to_string())
            .header("accept", "application/json")
            .header("connection", "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| Unreached::Http(error.to_string()))?;
        let response = sender.send_request(request).await.map_err(http)?;
        if response.status() != StatusCode::OK {
            return Err(Unreached::Refused(response.status()));
        }
        let body = Limited::new(response.into_body(), MOST).collect().await;
        Ok(body.map_err(|error| Unreached::Http(error.to_string()))?.to_bytes())
    };
    let done = done.await;
    moved.abort();
    done
}

fn read(body: &[u8]) -> Result<Status, Unreached> {
    let mut value: Value = serde_json::from_slice(body).map_err(Unreached::Json)?;
    clean(&mut value);
    serde_json::from_value(value).map_err(Unreached::Json)
}

/// Takes out of every text what a terminal would obey, or what would turn its
/// order round.
fn clean(value: &mut Value) {
    match value {
        Value::String(text) if text.contains(obeyed) => *text = text.replace(obeyed, "?"),
        Value::Array(all) => all.iter_mut().for_each(clean),
        Value::Object(all) => all.values_mut().for_each(clean),
        _ => {}
    }
}

fn obeyed(c: char) -> bool {
    let turns = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    c.is_control() || turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_status_steers_the_terminal() {
        let body = br#"{"version":"1\u001b[2J","events":[{"text":"a\nb\u009bc\u202ed\u0007"}],
            "config":{"last_error":"x\ty"}}"#;
        let status = read(body).unwrap();
        assert_eq!(status.version, "1?[2J");
        assert_eq!(status.events[0].text, "a?b?c?d?");
        assert_eq!(status.config.last_error.as_deref(), Some("x?y"));
    }

    #[test]
    fn what_is_no_status_is_told() {
        for body in ["", "[1]", "{\"now\":\"soon\"}", "<html>"] {
            let told = read(body.as_bytes()).unwrap_err().to_string();
            assert!(told.contains("/status.json is no status of gathersrv"), "{told}");
        }
    }
}
