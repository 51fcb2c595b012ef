//! Clients that ask over TCP and behave: they connect, ask a few questions in
//! one go, read the answers and leave.

use super::client::{Book, PATIENCE};
use super::questions::Question;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

const CLIENTS: u64 = 8;

/// Questions on one connection.
const BATCH: u64 = 10;

/// The numbers of questions asked here are others than those over UDP.
const FIRST: u64 = 1 << 40;

/// All of them together ask `rate` questions a second, or as many as the
/// answers let them: each waits for its own.
pub fn start(daemon: SocketAddr, rate: u64, book: &Arc<Book>, stop: &Arc<AtomicBool>) {
    let next = Arc::new(AtomicU64::new(FIRST));
    let pause = Duration::from_secs_f64((CLIENTS * BATCH) as f64 / rate.max(1) as f64);
    for _ in 0..CLIENTS {
        let (book, stop, next) = (book.clone(), stop.clone(), next.clone());
        std::thread::spawn(move || {
            while !stop.load(Relaxed) {
                let began = Instant::now();
                let first = next.fetch_add(BATCH, Relaxed);
                let stretch = book.stretch.load(Relaxed);
                let tally = &book.tallies[stretch];
                tally.sent.fetch_add(BATCH, Relaxed);
                let answered = converse(daemon, first, stretch, &book);
                tally.unanswered.fetch_add(BATCH - answered, Relaxed);
                std::thread::sleep(pause.saturating_sub(began.elapsed()));
            }
        });
    }
}

/// One connection; how many of its questions were answered.
fn converse(daemon: SocketAddr, first: u64, stretch: usize, book: &Book) -> u64 {
    let mut waiting: Vec<Option<Question>> =
        (first..first + BATCH).map(|n| Some(Question::new(n))).collect();
    let mut answered = 0;
    let mut talk = || -> io::Result<()> {
        let mut stream = TcpStream::connect_timeout(&daemon, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut frames = Vec::new();
        for (id, question) in waiting.iter().flatten().enumerate() {
            let packet = question.packet(id as u16);
            frames.extend((packet.len() as u16).to_be_bytes());
            frames.extend(packet);
        }
        let asked = book.now();
        stream.write_all(&frames)?;
        let mut packet = vec![0; 1 << 16];
        for _ in 0..BATCH {
            let mut length = [0; 2];
            stream.read_exact(&mut length)?;
            let packet = &mut packet[..usize::from(u16::from_be_bytes(length))];
            stream.read_exact(packet)?;
            let id = packet
                .get(..2)
                .map_or(usize::MAX, |id| usize::from(id[0]) << 8 | usize::from(id[1]));
            match waiting.get_mut(id).and_then(Option::take) {
                Some(question) => {
                    book.answered(&question, packet, asked, stretch);
                    answered += 1;
                }
                None => {
                    book.twice.fetch_add(1, Relaxed);
                }
            }
        }
        Ok(())
    };
    // Whatever went wrong, the questions it left are unanswered.
    let _ = talk();
    answered
}
