//! Conversations in virtual time: the client is the test, at the other end of a
//! pipe. Nothing is slept for, and every wait has an end.

use super::*;
use crate::cli::plan;
use crate::config::Plan;
use crate::engine::Engine;
use crate::net::worker::{Served, Worker, flush_rounds, keep_time};
use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use tokio::io::{DuplexStream, duplex};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::sleep;

/// The SOA of the zone, which no cluster is asked for.
const APEX: [u8; 19] = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0, 6, 0, 1];

/// Longer than anything here may take.
const LONG: Duration = Duration::from_secs(600);

/// The address of a name of its own, which the cluster never answers.
fn unanswered(n: u8) -> Vec<u8> {
    let name = [3, b'n', b'0' + n / 10, b'0' + n % 10, 1, b'a', 0];
    [&[0, n, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &name, &[0, 1, 0, 1]].concat()
}

fn framed(packet: &[u8]) -> Vec<u8> {
    [&(packet.len() as u16).to_be_bytes()[..], packet].concat()
}

fn runtime(paused: bool) -> LocalRuntime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().start_paused(paused).build_local(LocalOptions::default()).unwrap()
}

/// A worker with one cluster, whose server never says anything.
struct House {
    hall: Hall,
    stage: watch::Sender<Stage>,
    _silent: UdpSocket,
}

impl House {
    fn new(flags: &[&str]) -> Self {
        let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let cluster = format!("k. a- {}", silent.local_addr().unwrap());
        let plan = plan(&[&["--zone", "a.", "--cluster", &cluster][..], flags].concat());
        let engine = Engine::new(plan.clone(), [1; 32]);
        let served = Served::load(Plan::clone(&plan)).unwrap();
        let proven = Arc::new(Proven::default());
        let worker = Worker::new(engine, std::time::Instant::now(), served, Vec::new(), &proven);
        let shared = Rc::new(RefCell::new(worker));
        spawn_local(keep_time(shared.clone()));
        spawn_local(flush_rounds(shared.clone()));
        let (stage, stages) = watch::channel(Stage::Serve);
        let limits = Arc::new(ConnectionLimits::new(usize::MAX));
        let hall = Hall { shared, limits, proven, stages, tls: false };
        House { hall, stage, _silent: silent }
    }

    /// A client; `room` is the octets that fit on the way to it.
    fn enter(&self, room: usize) -> Guest {
        let (pipe, ours) = duplex(room);
        let addr = "192.0.2.1:4000".parse().unwrap();
        let conversation = Conversation::begin(self.hall.clone(), addr, None, Transport::Tcp);
        let conversation = spawn_local(conversation.hold(ours));
        Guest { pipe, begun: Instant::now(), conversation }
    }

    fn in_flight(&self) -> usize {
        self.hall.shared.borrow().engine.queries_in_flight()
    }

    /// No connection is left over.
    fn assert_empty(&self) {
        let worker = self.hall.shared.borrow();
        assert_eq!((worker.connections, worker.streams.len()), ([0, 0], 0));
    }
}

struct Guest {
    pipe: DuplexStream,
    begun: Instant,
    conversation: JoinHandle<()>,
}

impl Guest {
    async fn ask(&mut self, packet: &[u8]) {
        self.pipe.write_all(&framed(packet)).await.unwrap();
    }

    async fn answer(&mut self) -> Vec<u8> {
        let read = async {
            let mut answer = vec![0; self.pipe.read_u16().await.unwrap().into()];
            self.pipe.read_exact(&mut answer).await.unwrap();
            answer
        };
        timeout(LONG, read).await.expect("an answer")
    }

    /// Waits until the connection ends; after how many tenths of a second it did.
    async fn is_let_go(&mut self) -> u128 {
        self.is_let_go_after(self.begun).await
    }

    /// The same from another moment on. The engine's own clock is the system's, so
    /// what it does at its deadline is a moment of no certain time.
    async fn is_let_go_after(&mut self, moment: Instant) -> u128 {
        timeout(LONG, &mut self.conversation).await.expect("an end").unwrap();
        moment.elapsed().as_millis() / 100
    }
}

/// A story about one client.
fn story(flags: &[&str], room: usize, tell: impl AsyncFnOnce(&House, Guest)) {
    runtime(true).block_on(async {
        let house = House::new(flags);
        let guest = house.enter(room);
        tell(&house, guest).await;
    });
}

#[test]
fn t4_a_client_that_asks_nothing_is_let_go_after_ten_seconds() {
    story(&[], 1024, async |house, mut guest| {
        assert_eq!(house.hall.shared.borrow().connections, [1, 0]);
        assert_eq!(guest.is_let_go().await, 100);
        house.assert_empty();
    });
}

#[test]
fn t4_each_query_begins_the_ten_seconds_anew() {
    story(&[], 1024, async |house, mut guest| {
        sleep(Duration::from_secs(9)).await;
        guest.ask(&APEX).await;
        assert_eq!(guest.answer().await[..2], APEX[..2]);
        assert_eq!(guest.is_let_go().await, 190);
        house.assert_empty();
    });
}

#[test]
fn t4_a_query_has_five_seconds_to_come_to_its_end() {
    story(&[], 1024, async |_, mut guest| {
        let frame = framed(&APEX);
        for octet in &frame[..4] {
            guest.pipe.write_all(&[*octet]).await.unwrap();
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(guest.is_let_go().await, 50, "octets that trickle in win no time");
    });
}

#[test]
fn t4_a_query_that_came_in_parts_leaves_the_next_one_its_time() {
    story(&[], 1024, async |_, mut guest| {
        let frame = framed(&APEX);
        guest.pipe.write_all(&frame[..9]).await.unwrap();
        sleep(Duration::from_secs(4)).await;
        guest.pipe.write_all(&frame[9..]).await.unwrap();
        guest.answer().await;
        assert_eq!(guest.is_let_go().await, 140, "idle since its query was complete");
    });
}

#[test]
fn t4_a_client_with_an_answer_to_come_may_be_silent() {
    story(&["--deadline", "25s"], 1024, async |_, mut guest| {
        guest.ask(&unanswered(0)).await;
        assert_eq!(guest.answer().await[3] & 15, 2, "SERVFAIL");
        assert!(guest.begun.elapsed() > Duration::from_secs(20));
        let answered = Instant::now();
        let after = guest.is_let_go_after(answered).await;
        assert_eq!(after, 100, "its ten seconds begin with the answer");
    });
}

#[test]
fn t4_an_answer_to_come_is_no_excuse_for_half_a_query() {
    story(&["--deadline", "25s"], 1024, async |house, mut guest| {
        guest.ask(&unanswered(0)).await;
        guest.pipe.write_all(&[0]).await.unwrap();
        assert_eq!(guest.is_let_go().await, 50);
        house.assert_empty();
        // Its answer comes when nobody is there.
        sleep(LONG).await;
        assert_eq!(house.in_flight(), 0);
    });
}

#[test]
fn t5_what_is_no_query_is_not_waited_for() {
    story(&[], 1024, async |_, mut guest| {
        let mut response = APEX;
        response[2] |= 0x80;
        sleep(Duration::from_secs(9)).await;
        guest.ask(&response).await;
        assert_eq!(guest.is_let_go().await, 190);
    });
}

#[test]
fn t4_a_client_that_takes_no_answers_is_let_go() {
    story(&[], 16, async |house, mut guest| {
        guest.ask(&APEX).await;
        guest.ask(&APEX).await;
        assert_eq!(guest.is_let_go().await, 100);
        house.assert_empty();
    });
}

#[test]
fn t4_a_client_that_has_gone_is_let_go_at_once() {
    story(&[], 16, async |house, mut guest| {
        guest.ask(&APEX).await;
        let (pipe, _) = duplex(1);
        drop(std::mem::replace(&mut guest.pipe, pipe));
        assert_eq!(guest.is_let_go().await, 0);
        house.assert_empty();
    });
}

#[test]
fn t4_a_client_that_has_asked_all_still_gets_its_answers() {
    story(&["--deadline", "2s"], 1024, async |house, mut guest| {
        guest.ask(&unanswered(0)).await;
        guest.ask(&APEX).await;
        guest.pipe.shutdown().await.unwrap();
        assert_eq!(guest.answer().await[..2], APEX[..2], "answered as they complete");
        assert_eq!(guest.answer().await[..2], [0, 0]);
        assert_eq!(guest.is_let_go_after(Instant::now()).await, 0);
        house.assert_empty();
    });
}

#[test]
fn t4_a_process_that_leaves_lets_go_of_clients_that_pause() {
    story(&[], 1024, async |house, mut guest| {
        sleep(Duration::from_secs(5)).await;
        house.stage.send(Stage::Leave).unwrap();
        sleep(PAUSE / 2).await;
        guest.ask(&APEX).await;
        guest.answer().await;
        assert_eq!(guest.is_let_go().await, 53, "a pause after its query");
    });
    story(&[], 1024, async |house, mut guest| {
        sleep(Duration::from_secs(5)).await;
        house.stage.send(Stage::Leave).unwrap();
        assert_eq!(guest.is_let_go().await, 52, "a pause after the change");
    });
}

#[test]
fn t5_a_worker_that_stops_answers_what_it_has_taken_and_takes_no_more() {
    story(&["--deadline", "2s"], 1024, async |house, mut guest| {
        guest.ask(&unanswered(0)).await;
        sleep(Duration::from_secs(1)).await;
        house.stage.send(Stage::Stop).unwrap();
        sleep(PAUSE).await;
        guest.ask(&APEX).await;
        assert_eq!(guest.answer().await[..2], [0, 0]);
        assert_eq!(guest.is_let_go_after(Instant::now()).await, 0);
        assert_eq!(guest.pipe.read(&mut [0; 1]).await.unwrap(), 0, "no second answer");
        house.assert_empty();
    });
    story(&[], 1024, async |house, mut guest| {
        sleep(Duration::from_secs(5)).await;
        house.stage.send(Stage::Stop).unwrap();
        assert_eq!(guest.is_let_go().await, 50);
    });
}

#[test]
fn t4_more_queries_than_may_be_in_flight_wait_in_the_socket() {
    story(&["--deadline", "2s"], 1024, async |house, mut guest| {
        for n in 0..64 {
            guest.ask(&unanswered(n)).await;
        }
        sleep(Duration::from_secs(1)).await;
        assert_eq!(house.in_flight(), 64);
        let more: Vec<u8> =
            (64..94).cycle().take(4000).flat_map(|n| framed(&unanswered(n))).collect();
        let written = timeout(Duration::from_millis(500), guest.pipe.write_all(&more)).await;
        assert!(written.is_err(), "nothing reads them");
        assert_eq!(house.in_flight(), 64);
        let mut answered = Vec::new();
        for _ in 0..65 {
            answered.push(guest.answer().await[1]);
        }
        assert!(answered.iter().any(|&n| n >= 64), "with room again the next are read");
    });
}

#[test]
fn t4_room_shortens_the_patience_with_a_client_that_does_not_read() {
    story(&["--max-tcp", "2"], 16, async |house, mut guest| {
        let most = house.hall.shared.borrow().most_connections();
        let addr = IpAddr::from([192, 0, 2, 1]);
        let taken: Vec<_> = (0..2).map_while(|_| house.hall.limits.admit(addr, most)).collect();
        guest.ask(&APEX).await;
        guest.ask(&APEX).await;
        assert_eq!((taken.len(), guest.is_let_go().await), (2, 10));
    });
}

#[test]
fn t4_a_client_whose_answer_finds_no_room_in_memory_is_let_go() {
    story(&[], 1024, async |house, mut guest| {
        let (number, other) = house.hall.shared.borrow_mut().open_stream();
        while !other.is_overrun() {
            other.put(&[0; 65_535]);
        }
        (0..30_000).for_each(|_| other.put(&[0]));
        guest.ask(&APEX).await;
        assert_eq!(guest.is_let_go().await, 0);
        house.hall.shared.borrow_mut().streams.remove(&number);
        drop(other);
        house.assert_empty();
        // And now there is room for the next.
        let mut next = house.enter(1024);
        next.ask(&APEX).await;
        next.answer().await;
    });
}

/// Connects, and tells whether it is served.
async fn is_served(stream: &mut TcpStream) -> bool {
    let asked = async {
        // One that is turned away may be closed before it has asked.
        let _ = stream.write_all(&framed(&APEX)).await;
        stream.read_u16().await
    };
    timeout(LONG, asked).await.expect("an answer or an end").is_ok()
}

/// A listener of a worker with these flags, and who connects to it.
fn at_the_door(flags: &[&str], tell: impl AsyncFnOnce(&House, SocketAddr)) {
    runtime(false).block_on(async {
        let house = House::new(flags);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        spawn_local(accept(house.hall.clone(), listener));
        tell(&house, addr).await;
    });
}

#[test]
fn t4_a_connection_too_many_is_closed_and_counted() {
    at_the_door(&["--max-tcp-per-client", "2"], async |house, addr| {
        let mut streams = Vec::new();
        for _ in 0..3 {
            streams.push(TcpStream::connect(addr).await.unwrap());
        }
        let mut served = Vec::new();
        for stream in &mut streams {
            served.push(is_served(stream).await);
        }
        assert_eq!(served, [true, true, false]);
        assert_eq!(house.hall.shared.borrow().turned_away, 1);
        assert_eq!((house.hall.limits.open(), house.hall.shared.borrow().connections), (2, [2, 0]));
        let known = |ip: [u8; 4]| house.hall.proven.knows(ip.into(), std::time::Instant::now());
        assert!(known([127, 0, 0, 1]) && !known([127, 0, 0, 2]));
    });
}

#[test]
fn a_client_that_may_not_ask_takes_nobodys_place() {
    at_the_door(&["--allow", "192.0.2.0/24"], async |house, addr| {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        assert!(!is_served(&mut stream).await);
        assert_eq!((house.hall.limits.open(), house.hall.shared.borrow().turned_away), (0, 0));
    });
}
