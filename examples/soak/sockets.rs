//! What the kernel says about our own UDP sockets: an answer that waits there
//! unread, or was dropped there, is not the daemon's fault.

#[derive(Default)]
pub struct Standing {
    /// Octets of the kernel's that wait to be read.
    pub unread: u64,
    /// Datagrams there was no room for.
    pub dropped: u64,
}

/// About the sockets of these ports, all together.
pub fn standing(ports: &[u16]) -> Standing {
    let table = std::fs::read_to_string("/proc/net/udp").unwrap_or_default();
    let mut sum = Standing::default();
    for line in table.lines().skip(1) {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let [_, local, _, _, queues, .., dropped] = cells[..] else { continue };
        let hex = |word: &str| u64::from_str_radix(word, 16).unwrap_or(0);
        let port = local.rsplit_once(':').map_or(0, |(_, port)| hex(port));
        if ports.iter().any(|&known| u64::from(known) == port) {
            sum.unread += queues.rsplit_once(':').map_or(0, |(_, unread)| hex(unread));
            sum.dropped += dropped.parse::<u64>().unwrap_or(0);
        }
    }
    sum
}
