//! A certificate's serial number, rendered the two ways banks compare it.
//!
//! In: the content octets of the DER INTEGER. Out: hexadecimal and decimal digits. Never shows the sign octet: one
//! verifier compares lower-case text, another the integer, and both accept digits without leading zeros. Serves RFC
//! 5280 section 4.1.2.2.

use super::CertificateError;

/// Longest serial number, in octets (RFC 5280 section 4.1.2.2).
const SERIAL_BYTES_MAX: usize = 20;

/// The magnitude, big-endian, without leading zero octets.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Serial(Vec<u8>);

impl Serial {
    pub(super) fn read(content: &[u8]) -> Result<Self, CertificateError> {
        if content.first().is_none_or(|octet| octet & 0x80 != 0) {
            return Err(CertificateError::Serial);
        }
        let zeros = content.iter().take_while(|octet| **octet == 0).count();
        let magnitude = content[zeros..].to_vec();
        if magnitude.len() > SERIAL_BYTES_MAX {
            return Err(CertificateError::Serial);
        }
        Ok(Self(magnitude))
    }

    pub(super) fn hex(&self) -> String {
        let digits = hex::encode(&self.0);
        match digits.trim_start_matches('0') {
            "" => "0".to_owned(),
            digits => digits.to_owned(),
        }
    }

    /// Schoolbook conversion: 20 octets have up to 49 digits, more than any integer type holds.
    pub(super) fn decimal(&self) -> String {
        let mut digits = vec![0_u8];
        for octet in &self.0 {
            let mut carry = u32::from(*octet);
            for digit in &mut digits {
                let value = u32::from(*digit) * 256 + carry;
                *digit = (value % 10) as u8;
                carry = value / 10;
            }
            while carry > 0 {
                digits.push((carry % 10) as u8);
                carry /= 10;
            }
        }
        digits
            .iter()
            .rev()
            .map(|digit| char::from(b'0' + digit))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn serial(hex_text: &str) -> Serial {
        Serial::read(&hex::decode(hex_text).unwrap()).unwrap()
    }

    #[test]
    fn strips_the_sign_octet_and_leading_zeros() {
        assert_eq!(serial("00a9fa1c3d0e").hex(), "a9fa1c3d0e");
        assert_eq!(serial("00a9fa1c3d0e").decimal(), "730045627662");
        assert_eq!(serial("01").hex(), "1");
        assert_eq!(serial("0f00").hex(), "f00");
        assert_eq!(serial("00").hex(), "0");
        assert_eq!(serial("00").decimal(), "0");
    }

    #[test]
    fn renders_twenty_octets_in_forty_nine_digits() {
        let all_ones = serial(&format!("00{}", "ff".repeat(20)));
        // 2^160 - 1.
        assert_eq!(
            all_ones.decimal(),
            "1461501637330902918203684832716283019655932542975"
        );
        assert_eq!(all_ones.hex(), "f".repeat(40));
    }

    #[test]
    fn refuses_negative_empty_and_overlong_serials() {
        assert!(Serial::read(&[0x80]).is_err());
        assert!(Serial::read(&[]).is_err());
        assert!(Serial::read(&[0x01; 21]).is_err());
    }
}
