//! The same question always comes to the same worker.
//!
//! Workers share a port, and the kernel deals out what comes there by the
//! sender's address. Then each worker would ask the clusters for itself what
//! another has just asked, keep its own copy of every answer, and not have the
//! last good one (M6) that another has. So the kernel is given a small program
//! (SO_ATTACH_REUSEPORT_CBPF) that deals by the question instead: a keyed hash
//! of name and type, letters without case. It needs not be a good hash, only
//! one that strangers cannot aim. A packet it can make nothing of goes to one
//! of the workers all the same; a kernel without this option deals as before.
//!
//! Streams are not dealt so: their questions come after they are accepted.

use super::batch::attach_steering;
use rand::RngExt;
use socket2::Socket;

/// Labels the hash goes into; Kubernetes names have seven.
const LABELS: usize = 10;

/// Where the question begins: behind the header (RFC 1035, 4.1.1).
const QUESTION: u32 = 12;

/// ORed to four octets at once: letters lose their case, and what else that
/// changes makes no difference to a hash.
const FOLD: u32 = 0x2020_2020;

/// The longest label (RFC 1035, 2.3.4); above are pointers.
const LONGEST_LABEL: u32 = 63;

/// Cells of the filter machine's memory: the hash, a label's length, and where
/// in the packet its length octet is.
const HASH: u32 = 0;
const LEN: u32 = 1;
const AT: u32 = 2;

/// How questions are dealt out among workers.
pub struct Steering(Vec<libc::sock_filter>);

/// One instruction. The opcodes of `bpf_common.h` are all less than 256.
fn op(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

/// A = octets of the packet, `ahead` of X.
fn load(size: u32, ahead: u32) -> libc::sock_filter {
    op(libc::BPF_LD | size | libc::BPF_IND, ahead)
}

fn to_a(cell: u32) -> libc::sock_filter {
    op(libc::BPF_LD | libc::BPF_MEM, cell)
}

fn to_x(cell: u32) -> libc::sock_filter {
    op(libc::BPF_LDX | libc::BPF_MEM, cell)
}

fn store(cell: u32) -> libc::sock_filter {
    op(libc::BPF_ST, cell)
}

/// A = A op K.
fn with(operation: u32, k: u32) -> libc::sock_filter {
    op(libc::BPF_ALU | operation | libc::BPF_K, k)
}

/// A = A op X.
fn with_x(operation: u32) -> libc::sock_filter {
    op(libc::BPF_ALU | operation | libc::BPF_X, 0)
}

/// Goes on behind so many instructions if A is as asked, behind so many others
/// if it is not.
fn jump(test: u32, k: u32, then: u8, otherwise: u8) -> libc::sock_filter {
    let code = libc::BPF_JMP | test | libc::BPF_K;
    libc::sock_filter { jt: then, jf: otherwise, ..op(code, k) }
}

/// Mixes A into the hash, and leaves that in A.
fn mix(factor: u32) -> [libc::sock_filter; 4] {
    [to_x(HASH), with_x(libc::BPF_XOR), with(libc::BPF_MUL, factor), store(HASH)]
}

/// Mixes in the label at AT and goes on to the next.
fn label(first: u32, last: u32) -> Vec<libc::sock_filter> {
    // Its first four octets. Of a shorter label this reads on into what
    // follows, which is still the question.
    let mut out = vec![store(LEN), load(libc::BPF_W, 1), with(libc::BPF_OR, FOLD)];
    out.extend(mix(first));
    // Its last four, unless that would reach back into the header.
    let mut tail = vec![to_x(AT), with_x(libc::BPF_ADD), with(libc::BPF_SUB, 3)];
    tail.extend([op(libc::BPF_MISC | libc::BPF_TAX, 0), load(libc::BPF_W, 0)]);
    tail.push(with(libc::BPF_OR, FOLD));
    tail.extend(mix(last));
    out.extend([to_a(LEN), jump(libc::BPF_JGE, 4, 0, tail.len() as u8)]);
    out.extend(tail);
    out.extend([to_a(LEN), to_x(AT), with_x(libc::BPF_ADD), with(libc::BPF_ADD, 1), store(AT)]);
    out
}

impl Steering {
    /// A program that deals to `workers`, with a key of its own.
    pub fn new(workers: usize) -> Self {
        let mut rng = rand::rng();
        let mut odd = || rng.random::<u32>() | 1;
        let (begin, first, last, kind) = (odd(), odd(), odd(), odd());
        let mut program = vec![op(libc::BPF_LD | libc::BPF_IMM, begin), store(HASH)];
        program.extend([op(libc::BPF_LD | libc::BPF_IMM, QUESTION), store(AT)]);
        let label = label(first, last);
        for left in (0..LABELS).rev() {
            // To the end from the last label or a pointer: over the rest of
            // this label's instructions, and those of the labels left.
            let rest = label.len() + left * (label.len() + 5);
            program.extend([
                to_x(AT),
                load(libc::BPF_B, 0),
                jump(libc::BPF_JGT, LONGEST_LABEL, 1, 0),
                jump(libc::BPF_JEQ, 0, 0, 1),
                op(libc::BPF_JMP | libc::BPF_JA, rest as u32),
            ]);
            program.extend_from_slice(&label);
        }
        // The type, so that a busy name's A and AAAA can go to two workers; or,
        // of a name with more labels, some of the next one.
        program.extend([to_x(AT), load(libc::BPF_H, 1), with(libc::BPF_OR, FOLD)]);
        program.extend(mix(kind));
        program.extend([
            with(libc::BPF_RSH, 16),
            with(libc::BPF_MOD, workers.max(1) as u32),
            op(libc::BPF_RET | libc::BPF_A, 0),
        ]);
        Steering(program)
    }

    /// Has the kernel deal out what comes to this socket and those that share
    /// its port.
    pub fn attach(&self, socket: &Socket) -> std::io::Result<()> {
        attach_steering(socket, &self.0)
    }
}

/// Has the kernel choose the member of the socket's group with this number,
/// whatever comes; or as it likes if there is none.
pub fn name(socket: &Socket, member: u32) -> std::io::Result<()> {
    attach_steering(socket, &[op(libc::BPF_RET | libc::BPF_K, member)])
}

/// Leaves the choice to the kernel again. No group has as many members, and
/// unlike taking the program away this is no error where there is none.
pub fn undo(socket: &Socket) -> std::io::Result<()> {
    name(socket, u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Type};
    use std::collections::HashSet;
    use std::net::{SocketAddr, UdpSocket};
    use std::time::{Duration, Instant};

    const WORKERS: usize = 4;

    /// Sockets that share a port, and that port; nothing where the kernel cannot
    /// be told how to choose, and the daemon does without it.
    fn group() -> Option<(Vec<UdpSocket>, SocketAddr)> {
        let steering = Steering::new(WORKERS);
        let mut at: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let sockets = (0..WORKERS).map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
            socket.set_reuse_port(true).unwrap();
            socket.bind(&at.into()).unwrap();
            at = socket.local_addr().unwrap().as_socket().unwrap();
            match steering.attach(&socket) {
                Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => return None,
                attached => attached.unwrap(),
            }
            socket.set_nonblocking(true).unwrap();
            Some(socket.into())
        });
        let sockets = sockets.collect::<Option<_>>()?;
        Some((sockets, at))
    }

    fn query(id: u16, name: &str, rtype: u16, edns: bool) -> Vec<u8> {
        let mut out = id.to_be_bytes().to_vec();
        out.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)]);
        for label in name.split('.').filter(|label| !label.is_empty()) {
            out.push(label.len() as u8);
            out.extend(label.bytes());
        }
        out.push(0);
        out.extend(rtype.to_be_bytes());
        out.extend([0, 1]);
        if edns {
            out.extend([0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0]);
        }
        out
    }

    /// Which of the sockets a packet from a new client comes to.
    fn taker(sockets: &[UdpSocket], at: SocketAddr, packet: &[u8]) -> usize {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(packet, at).unwrap();
        let mut buffer = [0; 512];
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            if let Some(taker) = sockets.iter().position(|s| s.recv(&mut buffer).is_ok()) {
                return taker;
            }
        }
        panic!("nobody takes it");
    }

    #[test]
    fn u4_the_same_question_comes_to_the_same_worker_whoever_asks_and_however() {
        let Some((sockets, at)) = group() else { return };
        let deep = "a.b.c.d.e.f.g.h.i.j.k.l.local.";
        for name in ["x.", "ab.z.", "_demo._tcp.Demo-Service.default.svc.z.", deep, "."] {
            let worker = taker(&sockets, at, &query(0, name, 33, false));
            for id in 1..20 {
                let spelled = if id % 2 == 0 { name.to_uppercase() } else { name.to_lowercase() };
                let packet = query(id, &spelled, 33, id % 3 == 0);
                assert_eq!(taker(&sockets, at, &packet), worker, "{spelled}");
            }
        }
    }

    #[test]
    fn questions_are_dealt_out_to_all_workers() {
        let Some((sockets, at)) = group() else { return };
        let mut taken = [0; WORKERS];
        for n in 0..400 {
            let name = format!("web-{n}.default.svc.distributed.local.");
            taken[taker(&sockets, at, &query(0, &name, 1, true))] += 1;
        }
        assert!(taken.iter().all(|&taken| taken > 40), "{taken:?}");
        // Types of all kinds: with some keys a few numbers in a row meet at one worker.
        let types: HashSet<usize> =
            (1..400).map(|n| taker(&sockets, at, &query(0, "web.z.", n * 163, true))).collect();
        assert_eq!(types.len(), WORKERS, "types of one name");
    }

    #[test]
    fn what_is_no_question_comes_to_somebody() {
        let Some((sockets, at)) = group() else { return };
        let whole = query(7, "web.default.svc.z.", 1, true);
        for len in 0..whole.len() {
            taker(&sockets, at, &whole[..len]);
        }
        let pointer = [&whole[..12], &[0xC0, 12, 0, 1, 0, 1][..]].concat();
        taker(&sockets, at, &pointer);
    }
}
