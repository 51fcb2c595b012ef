//! Turning names of one zone into names of another, both ways.
//!
//! Towards a cluster (Q6) the zone at the end becomes the cluster's suffix and
//! a prefix is taken off; on the way back (R2) the suffix becomes the zone and
//! the prefix is put on. Both touch one label and the end, nothing between.

use super::name::{FlatName, MAX_LABEL, MAX_NAME, Suffix};

/// A rewritten name would break a limit of RFC 1035: R4, or Q6 on the way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// A name being put together.
pub struct Scratch {
    octets: [u8; MAX_NAME],
    len: usize,
}

impl Default for Scratch {
    fn default() -> Self {
        Scratch { octets: [0; MAX_NAME], len: 0 }
    }
}

impl Scratch {
    /// The name, flat.
    pub fn as_slice(&self) -> &[u8] {
        &self.octets[..self.len]
    }

    fn push(&mut self, octets: &[u8]) -> Result<(), TooLong> {
        let space = self.octets.get_mut(self.len..self.len + octets.len()).ok_or(TooLong)?;
        space.copy_from_slice(octets);
        self.len += octets.len();
        Ok(())
    }

    /// Makes R2's name: the first `kept` labels of `name`, `prefix` in front of
    /// the first of them that does not begin with `_`, and `zone` behind. A
    /// name with no such label (the apex, or `_tcp` right under it) takes no
    /// prefix: there is nothing in it that could carry one.
    pub fn join(
        &mut self,
        name: &FlatName,
        kept: usize,
        prefix: &[u8],
        zone: &Suffix,
    ) -> Result<(), TooLong> {
        self.len = 0;
        let octets = name.as_slice();
        let end = name.start(kept);
        match name.first_plain(kept) {
            Some(n) if !prefix.is_empty() => {
                let start = name.start(n);
                let len = octets[start] as usize + prefix.len();
                if len > MAX_LABEL {
                    return Err(TooLong);
                }
                self.push(&octets[..start])?;
                self.push(&[len as u8])?;
                self.push(prefix)?;
                self.push(&octets[start + 1..end])?;
            }
            _ => self.push(&octets[..end])?,
        }
        self.push(zone.as_slice())
    }
}

/// Appends Q6's name to `out`: the first `kept` labels of `name`, without the
/// first `cut` octets of label `plain`, and `suffix` behind.
pub fn push_outbound(
    out: &mut Vec<u8>,
    name: &FlatName,
    kept: usize,
    strip: Option<(usize, usize)>,
    suffix: &Suffix,
) -> Result<(), TooLong> {
    let octets = name.as_slice();
    let end = name.start(kept);
    let cut = strip.map_or(0, |(_, cut)| cut);
    if end + suffix.as_slice().len() - cut > MAX_NAME {
        return Err(TooLong);
    }
    match strip {
        Some((plain, cut)) => {
            let start = name.start(plain);
            out.extend_from_slice(&octets[..start]);
            out.push(octets[start] - cut as u8);
            out.extend_from_slice(&octets[start + 1 + cut..end]);
        }
        None => out.extend_from_slice(&octets[..end]),
    }
    out.extend_from_slice(suffix.as_slice());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(name: &[u8], kept: usize) -> Result<Vec<u8>, TooLong> {
        let mut scratch = Scratch::default();
        let zone = Suffix::new(b"\x01z\0").unwrap();
        scratch.join(&FlatName::from_flat(name).unwrap(), kept, b"a-", &zone)?;
        Ok(scratch.as_slice().to_vec())
    }

    #[test]
    fn r2_the_prefix_goes_in_front_of_the_first_label_without_underscore() {
        assert_eq!(joined(b"\x01x\x01y\x01k\0", 2).unwrap(), b"\x03a-x\x01y\x01z\0");
        assert_eq!(joined(b"\x02_t\x01y\x01k\0", 2).unwrap(), b"\x02_t\x03a-y\x01z\0");
        assert_eq!(joined(b"\x02_t\x01k\0", 1).unwrap(), b"\x02_t\x01z\0");
        assert_eq!(joined(b"\x01k\0", 0).unwrap(), b"\x01z\0");
    }

    #[test]
    fn r4_labels_end_at_63() {
        let mut name = vec![61];
        name.extend([b'x'; 61]);
        name.extend(b"\x01k\0");
        assert_eq!(joined(&name, 1).unwrap()[0], 63);
        name.insert(1, b'x');
        name[0] = 62;
        assert_eq!(joined(&name, 1), Err(TooLong));
    }

    #[test]
    fn q6_outbound_takes_the_prefix_off_and_keeps_the_rest() {
        let mut out = Vec::new();
        let name = FlatName::from_flat(b"\x02_t\x03A-y\x01z\0").unwrap();
        let suffix = Suffix::new(b"\x01k\0").unwrap();
        push_outbound(&mut out, &name, 2, Some((1, 2)), &suffix).unwrap();
        assert_eq!(out, b"\x02_t\x01y\x01k\0");
    }
}
