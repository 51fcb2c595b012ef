//! The case of a question's letters as a secret (0x20,
//! draft-vixie-dnsext-dns0x20-00).
//!
//! Names are compared without case, yet servers repeat a question as it was
//! written. So each letter of a name can carry one bit that a forger has to
//! guess beside the ID and the port.

/// The case of the letters of one question, drawn at random.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case(u128);

/// Letters that have a bit of their own; those behind them use the bits again.
const LETTERS: usize = u128::BITS as usize;

impl Case {
    /// A set bit makes a small letter.
    pub fn new(bits: u128) -> Self {
        Case(bits)
    }

    /// Writes a name, in wire format and not compressed, in this case. Length
    /// octets are below every letter, so they stay.
    pub fn apply(self, name: &mut [u8]) {
        let letters = name.iter_mut().filter(|octet| octet.is_ascii_alphabetic());
        for (letter, octet) in letters.enumerate() {
            let small = (self.0 >> (letter % LETTERS)) & 1 == 1;
            *octet = if small { octet.to_ascii_lowercase() } else { octet.to_ascii_uppercase() };
        }
    }

    /// Whether `echoed` is `name` in this case, to the octet.
    pub fn is_kept(self, name: &[u8], echoed: &[u8]) -> bool {
        let mut own = [0; super::name::MAX_NAME];
        match own.get_mut(..name.len()) {
            Some(own) => {
                own.copy_from_slice(name);
                self.apply(own);
                own == echoed
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn u1_letters_take_the_case_of_their_bits_and_nothing_else_changes() {
        let name = b"\x04_dEm\x02a-\x00";
        let mut small = *name;
        Case::new(u128::MAX).apply(&mut small);
        assert_eq!(&small, b"\x04_dem\x02a-\x00");
        let mut mixed = *name;
        Case::new(0b0101).apply(&mut mixed);
        assert_eq!(&mixed, b"\x04_dEm\x02A-\x00");
        assert!(Case::new(0b0101).is_kept(name, &mixed));
        assert!(!Case::new(0b0100).is_kept(name, &mixed));
    }

    #[test]
    fn the_longest_name_has_a_case_too() {
        let label = [&[63][..], &[b'x'; 63]].concat();
        let mut name = label.repeat(3);
        name.extend([61]);
        name.extend([b'y'; 61]);
        name.push(0);
        assert_eq!(name.len(), 255);
        let case = Case::new(0x1234_5678_9ABC_DEF0);
        let mut own = name.clone();
        case.apply(&mut own);
        assert!(case.is_kept(&name, &own));
        assert!(own.eq_ignore_ascii_case(&name) && own != name);
    }
}
