//! The main job on a bare machine: two clusters' DNS inside the process, and
//! the daemon in front of them, through the same sockets, engine and
//! configuration as ever.

use crate::config::{Draft, Settings, ZoneDraft};
use crate::net::Running;
use crate::show;
use domain::base::iana::{Class, Opcode, Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Name, Record, StaticCompressor, ToName, Ttl};
use domain::rdata::{A, AllRecordData, Srv};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// What is asked.
const QUESTION: &str = "_demo._tcp.demo-service.default.svc.distributed.local.";

/// TTL of the demonstration's records, in seconds.
const TTL: u32 = 30;

/// The clusters: suffix, prefix, and the address of both their pods.
const CLUSTERS: [(&str, &str, Ipv4Addr); 2] = [
    ("cluster-a.local.", "a-", Ipv4Addr::new(10, 8, 1, 2)),
    ("cluster-b.local.", "b-", Ipv4Addr::new(10, 9, 1, 2)),
];

/// The demonstration could not be given.
#[derive(Debug)]
pub enum DemoError {
    /// A socket of the demonstration's own.
    Socket(io::Error),
    /// The daemon's answer.
    Answer(String),
}

impl fmt::Display for DemoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DemoError::Socket(error) => write!(
                f,
                "demo: {error}; it needs sockets on 127.0.0.1, see whether the process may have them"
            ),
            DemoError::Answer(what) => write!(f, "demo: {what}"),
        }
    }
}

impl std::error::Error for DemoError {}

impl From<io::Error> for DemoError {
    fn from(error: io::Error) -> Self {
        DemoError::Socket(error)
    }
}

type WireName = Name<Vec<u8>>;
type Data = AllRecordData<Vec<u8>, WireName>;

/// The records of one cluster.
struct Cluster {
    records: Vec<Record<WireName, Data>>,
}

impl Cluster {
    /// A headless service with two pods, as the plugin's page shows it.
    fn new(suffix: &str, address: Ipv4Addr) -> Result<Self, DemoError> {
        let name = |front: &str| {
            WireName::from_str(&format!("{front}demo-service.default.svc.{suffix}"))
                .map_err(|error| DemoError::Answer(error.to_string()))
        };
        let service = name("_demo._tcp.")?;
        let mut records = Vec::new();
        for pod in 0..2 {
            let host = WireName::from_str(&format!("demo-service-{pod}.default.svc.{suffix}"))
                .map_err(|error| DemoError::Answer(error.to_string()))?;
            let srv = AllRecordData::Srv(Srv::new(0, 50, 8080, host.clone()));
            let a = AllRecordData::A(A::new(address));
            let ttl = Ttl::from_secs(TTL);
            records.push(Record::new(service.clone(), Class::IN, ttl, srv));
            records.push(Record::new(host, Class::IN, ttl, a));
        }
        Ok(Cluster { records })
    }

    /// Answers as an authoritative server would; `None` to what is no query.
    fn answer(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let query = Message::from_octets(packet).ok()?;
        if query.header().qr() || query.header().opcode() != Opcode::QUERY {
            return None;
        }
        let question = query.sole_question().ok()?;
        let target = StaticCompressor::new(Vec::new());
        let builder = MessageBuilder::from_target(target).ok()?;
        let known = self.records.iter().any(|record| record.owner().name_eq(question.qname()));
        let rcode = if known { Rcode::NOERROR } else { Rcode::NXDOMAIN };
        let mut answer = builder.start_answer(&query, rcode).ok()?;
        answer.header_mut().set_aa(true);
        let chosen = self.records.iter().filter(|record| {
            record.rtype() == question.qtype() && record.owner().name_eq(question.qname())
        });
        let mut targets = Vec::new();
        for record in chosen {
            answer.push(record).ok()?;
            if let AllRecordData::Srv(srv) = record.data() {
                targets.push(srv.target().clone());
            }
        }
        let mut additional = answer.additional();
        for record in &self.records {
            let is_target = targets.iter().any(|target| target.name_eq(record.owner()));
            if record.rtype() == Rtype::A && is_target {
                additional.push(record).ok()?;
            }
        }
        Some(additional.finish().into_target())
    }
}

/// The clusters' DNS servers, running until the process ends.
pub struct Clusters {
    addrs: Vec<SocketAddr>,
}

impl Clusters {
    /// Starts one server for each cluster on a free port of loopback.
    pub fn start() -> Result<Self, DemoError> {
        let mut addrs = Vec::new();
        for (suffix, _, address) in CLUSTERS {
            let cluster = Cluster::new(suffix, address)?;
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
            let (udp, tcp) = runtime.block_on(bind())?;
            addrs.push(udp.local_addr()?);
            std::thread::Builder::new()
                .name(format!("demo {suffix}"))
                .spawn(move || runtime.block_on(serve(&cluster, &udp, &tcp)))?;
        }
        Ok(Clusters { addrs })
    }

    /// The configuration, in the words an operator would write.
    pub fn draft(&self, listen: SocketAddr) -> Draft {
        let clusters = CLUSTERS.iter().zip(&self.addrs).map(|((suffix, prefix, _), addr)| {
            ("--cluster".to_string(), format!("{suffix} {prefix} {addr}"))
        });
        Draft {
            settings: Settings {
                listen: vec![listen],
                workers: NonZeroUsize::MIN,
                ..Settings::default()
            },
            zones: vec![ZoneDraft {
                place: "--zone".into(),
                name: "distributed.local.".into(),
                clusters: clusters.collect(),
                behaviour: None,
            }],
            forwards: Vec::new(),
        }
    }
}

/// UDP and TCP on one free port.
async fn bind() -> io::Result<(UdpSocket, TcpListener)> {
    let mut last = None;
    for _ in 0..8 {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        match TcpListener::bind(udp.local_addr()?).await {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::other("no free port")))
}

async fn serve(cluster: &Cluster, udp: &UdpSocket, tcp: &TcpListener) {
    let mut packet = [0; 4096];
    loop {
        tokio::select! {
            received = udp.recv_from(&mut packet) => {
                let Ok((len, from)) = received else { continue };
                if let Some(answer) = cluster.answer(&packet[..len]) {
                    let _ = udp.send_to(&answer, from).await;
                }
            }
            accepted = tcp.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let _ = tokio::time::timeout(Duration::from_secs(2), converse(cluster, stream)).await;
            }
        }
    }
}

async fn converse(cluster: &Cluster, mut stream: TcpStream) -> io::Result<()> {
    loop {
        let len = stream.read_u16().await?;
        let mut packet = vec![0; len.into()];
        stream.read_exact(&mut packet).await?;
        let Some(answer) = cluster.answer(&packet) else { return Ok(()) };
        stream.write_u16(answer.len() as u16).await?;
        stream.write_all(&answer).await?;
    }
}

/// Asks the daemon, and shows what it serves, how to ask it, and its answer.
pub fn show(running: &Running) -> Result<String, DemoError> {
    let plans = running.plans();
    let told = plans.first();
    let Some((told, &addr)) = told.and_then(|plan| Some((plan, plan.settings.listen.first()?)))
    else {
        return Err(DemoError::Answer("the daemon listens nowhere".into()));
    };
    let answer = ask(addr)?;
    let form = show::Shown::read(&answer).map_err(|error| DemoError::Answer(error.to_string()))?;
    let lines = told.summary().join("\n");
    Ok(format!(
        "{lines}\n\ndig @{} -p {} SRV {}\n\n{form}",
        addr.ip(),
        addr.port(),
        QUESTION.trim_end_matches('.')
    ))
}

fn ask(addr: SocketAddr) -> Result<Vec<u8>, DemoError> {
    let wrong = |what: &str| DemoError::Answer(what.to_string());
    let name = WireName::from_str(QUESTION).map_err(|error| wrong(&error.to_string()))?;
    let mut query = MessageBuilder::new_vec().question();
    query.header_mut().set_id(1);
    query.header_mut().set_rd(true);
    query.push((name, Rtype::SRV)).map_err(|_| wrong("the question is too long"))?;
    let mut query = query.additional();
    query
        .opt(|opt| {
            opt.set_udp_payload_size(1232);
            Ok(())
        })
        .map_err(|_| wrong("the question is too long"))?;
    let socket = std::net::UdpSocket::bind(match addr {
        SocketAddr::V4(_) => "0.0.0.0:0",
        SocketAddr::V6(_) => "[::]:0",
    })?;
    let mut asked = addr;
    if addr.ip().is_unspecified() {
        asked.set_ip(match addr {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    socket.connect(asked)?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.send(&query.finish())?;
    let mut answer = vec![0; 4096];
    let len = socket.recv(&mut answer).map_err(|error| {
        DemoError::Answer(format!("the daemon at {asked} did not answer: {error}"))
    })?;
    answer.truncate(len);
    Ok(answer)
}
