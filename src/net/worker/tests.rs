//! A worker with one listener on loopback, and a client of it.

use super::*;
use crate::cli::plan;
use crate::engine::Client;
use std::net::Ipv4Addr;
use tokio::net::UdpSocket as Socket;
use tokio::task::spawn_local;
use tokio::time::timeout;

/// The SOA of the zone, which no cluster is asked for.
const APEX: [u8; 19] = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0, 6, 0, 1];

/// Longer than anything here may take.
const LONG: Duration = Duration::from_secs(60);

fn with_client(tell: impl AsyncFnOnce(Shared, Client, &Socket)) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build_local(tokio::runtime::LocalOptions::default());
    runtime.unwrap().block_on(async {
        let plan = plan(&["--zone", "a.", "--cluster", "k. a- 127.0.0.1:9"]);
        let engine = Engine::new(plan.clone(), [1; 32]);
        let served = Served::load(Plan::clone(&plan)).unwrap();
        let listener = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let listeners = vec![Rc::new(watch(listener).unwrap())];
        let worker = Worker::new(engine, Instant::now(), served, listeners, &Arc::default());
        let shared = Rc::new(RefCell::new(worker));
        spawn_local(send_put_off(shared.clone()));
        let socket = Socket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = socket.local_addr().unwrap();
        let transport = Transport::Udp;
        let client = Client { addr, local: None, transport, socket: 0, proven: false };
        tell(shared, client, &socket).await;
    });
}

/// Hands a query in, and does what has to be done.
fn ask(shared: &Shared, client: Client) {
    let mut worker = shared.borrow_mut();
    let worker = &mut *worker;
    let now = worker.now();
    assert!(worker.engine.on_query(now, client, &APEX, &mut worker.outbox));
    worker.flush(shared);
}

async fn answer(socket: &Socket) -> Vec<u8> {
    let mut packet = vec![0; 512];
    let len = timeout(LONG, socket.recv(&mut packet)).await.expect("an answer").unwrap();
    packet.truncate(len);
    packet
}

#[test]
fn an_answer_that_was_put_off_is_sent_a_moment_later() {
    with_client(async |shared, client, socket| {
        {
            let mut worker = shared.borrow_mut();
            let Worker { listeners, outlet, .. } = &mut *worker;
            let octets = 0..7;
            let late = crate::engine::Answer { client, came: Time::default(), kept: false, octets };
            listeners[0].send_under_pressure(outlet, b"put off", &[late]);
            assert!(listeners[0].is_waiting());
            listeners[0].wait_for_ever();
        }
        // The next answer to anybody sees to it.
        ask(&shared, client);
        let mut answers = [answer(socket).await, answer(socket).await];
        answers.sort_by_key(Vec::len);
        assert_eq!((&answers[0][..], &answers[1][..2]), (&b"put off"[..], &APEX[..2]));
        assert!(!shared.borrow().listeners[0].is_waiting());
        assert_eq!(shared.borrow().unsent(), 0);
    });
}

#[test]
fn an_answer_that_cannot_be_sent_is_counted() {
    with_client(async |shared, client, socket| {
        // An IPv4 socket cannot send to IPv6.
        ask(&shared, Client { addr: "[::1]:9".parse().unwrap(), ..client });
        assert_eq!(shared.borrow().unsent(), 1);
        ask(&shared, client);
        assert_eq!(answer(socket).await[..2], APEX[..2]);
        assert_eq!(shared.borrow().unsent(), 1);
    });
}
