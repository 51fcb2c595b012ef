//! Datagrams by the batch: `recvmmsg` and `sendmmsg`. The only file with
//! `unsafe` in it, and so also the place of what else takes a call of the system.
//!
//! The kernel is handed arrays of headers that point to buffers, addresses and
//! control messages. All of them live in boxed slices that are never resized
//! after they are made, and a header the kernel has written lengths into is set
//! anew before it is used again. Nothing that holds a pointer leaves this file.
#![allow(unsafe_code)]

use socket2::Socket;
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Datagrams in one call. Beyond 64 the cost of the call itself is below one
/// part in a hundred of the packets'.
pub const BATCH: usize = 64;

/// The largest datagram taken: more than any query or any reply to our payload
/// size of 1,232; a larger one arrives cut, and is marked so.
const DATAGRAM: usize = 4096;

/// Room for one control message with an IPv6 address, aligned as the kernel
/// wants it.
const CONTROL_WORDS: usize = 8;

type Control = [u64; CONTROL_WORDS];

/// Has the allocator give the system back what nothing uses: it keeps what lies
/// below something that is used. Takes some milliseconds.
pub fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes no pointer, and may be called at any time from any
    // thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Receives datagrams.
pub struct Inbox {
    octets: Box<[u8]>,
    headers: Box<[libc::mmsghdr]>,
    vectors: Box<[libc::iovec]>,
    addrs: Box<[libc::sockaddr_storage]>,
    controls: Box<[Control]>,
    len: usize,
}

/// What a datagram socket is watched for: ICMP errors too, which would be taken for
/// the fate of the next datagram; but not room to send, which would wake for each.
pub const WATCHED: Interest = Interest::READABLE.add(Interest::ERROR);

/// Has the runtime watch a datagram socket.
pub fn watch(socket: UdpSocket) -> io::Result<AsyncFd<UdpSocket>> {
    // SAFETY: a `UdpSocket` owns a valid descriptor, and nothing here replaces
    // or closes it while the `AsyncFd` owns the socket.
    Ok(unsafe { AsyncFd::register_with_interest(socket, WATCHED) }?)
}

/// Has the kernel report the address each datagram was sent to.
pub fn report_local(socket: &Socket, v6: bool) -> io::Result<()> {
    let (level, name) = if v6 {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
    } else {
        (libc::IPPROTO_IP, libc::IP_PKTINFO)
    };
    let on: libc::c_int = 1;
    // SAFETY: both options take an int.
    unsafe { set_option(socket, level, name, &on) }
}

/// Has the kernel choose by this program among the sockets of one port.
pub fn attach_steering(socket: &Socket, program: &[libc::sock_filter]) -> io::Result<()> {
    let len = libc::c_ushort::try_from(program.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    // SAFETY: the option takes a `sock_fprog`, whose instructions the kernel
    // copies and never writes; `len` is their number.
    unsafe { set_option(socket, libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF, &program) }
}

/// Sets a socket option.
///
/// # Safety
/// `T` is what the option takes. The kernel reads it and does not keep it.
unsafe fn set_option<T>(
    socket: &Socket,
    level: libc::c_int,
    name: libc::c_int,
    value: &T,
) -> io::Result<()> {
    // SAFETY: the pointer is to a `T`, and its size is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const *value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// One datagram received.
#[derive(Debug, Clone, Copy)]
pub struct Datagram<'a> {
    /// What it carries.
    pub octets: &'a [u8],
    /// Who sent it; `None` on a connected socket.
    pub from: Option<SocketAddr>,
    /// The address it was sent to, where the socket reports it.
    pub local: Option<IpAddr>,
    /// It was larger than any we take.
    pub cut: bool,
}

impl Default for Inbox {
    fn default() -> Self {
        // SAFETY: these are plain C structs, for which all zeroes is a valid
        // value (null pointers, zero lengths).
        let (header, vector, addr) = unsafe { (zeroed(), zeroed(), zeroed()) };
        let mut inbox = Inbox {
            octets: vec![0; BATCH * DATAGRAM].into(),
            headers: vec![header; BATCH].into(),
            vectors: vec![vector; BATCH].into(),
            addrs: vec![addr; BATCH].into(),
            controls: vec![[0; CONTROL_WORDS]; BATCH].into(),
            len: BATCH,
        };
        inbox.rearm();
        inbox
    }
}

impl Inbox {
    /// Takes what has arrived, up to [`BATCH`] datagrams; returns how many.
    /// Fewer means that nothing more was there. Never waits.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.rearm();
        // SAFETY: the headers point to buffers of the lengths they give, each
        // owned by `self`, none shared, and none moved while this call runs.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        if received < 0 {
            return Err(io::Error::last_os_error());
        }
        self.len = received as usize;
        Ok(self.len)
    }

    /// Sets the headers of the last batch for the next one.
    fn rearm(&mut self) {
        for n in 0..self.len {
            self.vectors[n] = libc::iovec {
                iov_base: self.octets[n * DATAGRAM..].as_mut_ptr().cast(),
                iov_len: DATAGRAM,
            };
            let header = &mut self.headers[n].msg_hdr;
            header.msg_name = (&raw mut self.addrs[n]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_iov = &raw mut self.vectors[n];
            header.msg_iovlen = 1;
            header.msg_control = self.controls[n].as_mut_ptr().cast();
            header.msg_controllen = size_of::<Control>() as _;
            header.msg_flags = 0;
        }
        self.len = 0;
    }

    /// Datagram `n` of the last batch.
    pub fn get(&self, n: usize) -> Option<Datagram<'_>> {
        if n >= self.len {
            return None;
        }
        let header = &self.headers[n];
        let len = (header.msg_len as usize).min(DATAGRAM);
        let named = header.msg_hdr.msg_namelen > 0;
        Some(Datagram {
            octets: &self.octets[n * DATAGRAM..n * DATAGRAM + len],
            from: if named { read_addr(&self.addrs[n]) } else { None },
            local: read_local(&header.msg_hdr),
            cut: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
        })
    }
}

/// One datagram to send: its octets in a buffer, and where to, if the socket is
/// not connected; `from` is the address it must come from.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// Where its octets are in the buffer.
    pub octets: Range<usize>,
    /// The receiver; `None` on a connected socket.
    pub to: Option<SocketAddr>,
    /// The sender's address, on sockets that listen on several.
    pub from: Option<IpAddr>,
}

/// What came of sending a batch.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Datagrams the kernel took.
    pub taken: usize,
    /// Datagrams it would not take, whatever one does.
    pub lost: usize,
    /// An earlier datagram of this connected socket met an ICMP error.
    pub refused: bool,
}

/// Sends datagrams.
pub struct Outlet {
    headers: Box<[libc::mmsghdr]>,
    vectors: Box<[libc::iovec]>,
    addrs: Box<[libc::sockaddr_storage]>,
    controls: Box<[Control]>,
}

impl Default for Outlet {
    fn default() -> Self {
        // SAFETY: as for `Inbox`.
        let (header, vector, addr) = unsafe { (zeroed(), zeroed(), zeroed()) };
        Outlet {
            headers: vec![header; BATCH].into(),
            vectors: vec![vector; BATCH].into(),
            addrs: vec![addr; BATCH].into(),
            controls: vec![[0; CONTROL_WORDS]; BATCH].into(),
        }
    }
}

impl Outlet {
    /// Sends parcels, whose octets are in `buffer`, until all are sent or there is
    /// no more room in the socket's buffer: those that were neither taken nor
    /// lost are left, from the first of them on. What the kernel takes only in
    /// part is sent on; a parcel that it will not take at all is counted, and
    /// does not keep the others.
    pub fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        buffer: &[u8],
        mut parcels: impl Iterator<Item = Parcel>,
    ) -> Sent {
        let mut sent = Sent::default();
        loop {
            let mut count = 0;
            for parcel in parcels.by_ref().take(BATCH) {
                self.address(count, buffer, &parcel);
                count += 1;
            }
            if count == 0 {
                return sent;
            }
            let all = self.send_all(socket, count, &mut sent);
            if count < BATCH || !all {
                return sent;
            }
        }
    }

    fn address(&mut self, n: usize, buffer: &[u8], parcel: &Parcel) {
        let octets = buffer.get(parcel.octets.clone()).unwrap_or_default();
        self.vectors[n] =
            libc::iovec { iov_base: octets.as_ptr().cast_mut().cast(), iov_len: octets.len() };
        let namelen = parcel.to.map_or(0, |to| write_addr(&mut self.addrs[n], to));
        let header = &mut self.headers[n].msg_hdr;
        header.msg_name =
            if namelen > 0 { (&raw mut self.addrs[n]).cast() } else { std::ptr::null_mut() };
        header.msg_namelen = namelen;
        header.msg_iov = &raw mut self.vectors[n];
        header.msg_iovlen = 1;
        header.msg_flags = 0;
        header.msg_control = std::ptr::null_mut();
        header.msg_controllen = 0;
        if let Some(from) = parcel.from {
            write_local(header, &mut self.controls[n], from);
        }
    }

    /// Sends the first `count` parcels addressed; false if there was no room for
    /// all. The buffer they point into is borrowed by the only caller.
    fn send_all(&mut self, socket: BorrowedFd<'_>, count: usize, sent: &mut Sent) -> bool {
        let mut done = 0;
        let mut refused = 0;
        while done < count {
            // SAFETY: headers `done..count` were set by `address` to buffers
            // that outlive this call and that the kernel only reads.
            let taken = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    self.headers[done..].as_mut_ptr(),
                    (count - done) as libc::c_uint,
                    libc::MSG_DONTWAIT as _,
                )
            };
            if taken > 0 {
                done += taken as usize;
                sent.taken += taken as usize;
                continue;
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINTR) => {}
                // An ICMP error about an earlier datagram is reported instead
                // of sending this one: once more, a few times at most.
                Some(libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH)
                    if refused < 3 =>
                {
                    refused += 1;
                    sent.refused = true;
                }
                Some(libc::EAGAIN) => return false,
                // A parcel that cannot be sent (no route, filtered, the
                // interface's queue is full): the next.
                _ => {
                    done += 1;
                    sent.lost += 1;
                }
            }
        }
        true
    }
}

/// Whether less than half of a datagram socket's buffer waits to be sent: that is
/// what Linux calls writable.
pub fn is_half_empty(socket: BorrowedFd<'_>) -> bool {
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: one valid pollfd, and a count of one; it does not wait.
    let ready = unsafe { libc::poll(&raw mut poll, 1, 0) };
    ready == 1 && poll.revents & libc::POLLOUT != 0
}

fn write_addr(space: &mut libc::sockaddr_storage, addr: SocketAddr) -> libc::socklen_t {
    match addr {
        SocketAddr::V4(addr) => {
            // SAFETY: sockaddr_storage is made to hold any sockaddr: it is as
            // large and as aligned as sockaddr_in, and all zeroes is valid.
            let out = unsafe { &mut *(&raw mut *space).cast::<libc::sockaddr_in>() };
            out.sin_family = libc::AF_INET as _;
            out.sin_port = addr.port().to_be();
            out.sin_addr.s_addr = u32::from(*addr.ip()).to_be();
            size_of::<libc::sockaddr_in>() as _
        }
        SocketAddr::V6(addr) => {
            // SAFETY: as above, for sockaddr_in6.
            let out = unsafe { &mut *(&raw mut *space).cast::<libc::sockaddr_in6>() };
            out.sin6_family = libc::AF_INET6 as _;
            out.sin6_port = addr.port().to_be();
            out.sin6_flowinfo = addr.flowinfo();
            out.sin6_addr.s6_addr = addr.ip().octets();
            out.sin6_scope_id = addr.scope_id();
            size_of::<libc::sockaddr_in6>() as _
        }
    }
}

fn read_addr(space: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match space.ss_family as libc::c_int {
        libc::AF_INET => {
            // SAFETY: the kernel says it wrote a sockaddr_in here, and the
            // storage is as large and as aligned as one.
            let addr = unsafe { &*(&raw const *space).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(addr.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(addr.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above, for sockaddr_in6.
            let addr = unsafe { &*(&raw const *space).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(addr.sin6_addr.s6_addr);
            let port = u16::from_be(addr.sin6_port);
            Some(SocketAddrV6::new(ip, port, addr.sin6_flowinfo, addr.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// The destination address in the control messages, if the socket was told to
/// report it (IP_PKTINFO, IPV6_RECVPKTINFO).
fn read_local(header: &libc::msghdr) -> Option<IpAddr> {
    if header.msg_controllen == 0 {
        return None;
    }
    // SAFETY: the header is one the kernel has filled: its control buffer has
    // msg_controllen octets of whole control messages, which is what the CMSG
    // functions walk. The payloads are read unaligned, after their lengths.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            let len = (*message).cmsg_len as usize;
            let data = libc::CMSG_DATA(message);
            let v4 = libc::CMSG_LEN(size_of::<libc::in_pktinfo>() as _) as usize;
            let v6 = libc::CMSG_LEN(size_of::<libc::in6_pktinfo>() as _) as usize;
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) if len >= v4 => {
                    let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    return Some(Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr)).into());
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if len >= v6 => {
                    let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    return Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                }
                _ => message = libc::CMSG_NXTHDR(header, message),
            }
        }
    }
    None
}

/// Makes a datagram come from `from`.
fn write_local(header: &mut libc::msghdr, control: &mut Control, from: IpAddr) {
    control.fill(0);
    header.msg_control = control.as_mut_ptr().cast();
    // SAFETY: the control buffer is zeroed, aligned to eight octets and has 64,
    // and CMSG_SPACE of the larger in6_pktinfo is 40, so the first header and
    // its payload are within it; the payload is written unaligned.
    unsafe {
        match from {
            IpAddr::V4(ip) => {
                let mut info: libc::in_pktinfo = zeroed();
                info.ipi_spec_dst.s_addr = u32::from(ip).to_be();
                header.msg_controllen = libc::CMSG_SPACE(size_of_val(&info) as _) as _;
                let message = libc::CMSG_FIRSTHDR(header);
                (*message).cmsg_level = libc::IPPROTO_IP;
                (*message).cmsg_type = libc::IP_PKTINFO;
                (*message).cmsg_len = libc::CMSG_LEN(size_of_val(&info) as _) as _;
                libc::CMSG_DATA(message).cast::<libc::in_pktinfo>().write_unaligned(info);
            }
            IpAddr::V6(ip) => {
                let mut info: libc::in6_pktinfo = zeroed();
                info.ipi6_addr.s6_addr = ip.octets();
                header.msg_controllen = libc::CMSG_SPACE(size_of_val(&info) as _) as _;
                let message = libc::CMSG_FIRSTHDR(header);
                (*message).cmsg_level = libc::IPPROTO_IPV6;
                (*message).cmsg_type = libc::IPV6_PKTINFO;
                (*message).cmsg_len = libc::CMSG_LEN(size_of_val(&info) as _) as _;
                libc::CMSG_DATA(message).cast::<libc::in6_pktinfo>().write_unaligned(info);
            }
        }
    }
}

#[cfg(test)]
mod tests;
