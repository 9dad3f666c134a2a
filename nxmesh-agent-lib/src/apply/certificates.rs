//! The certificates that nginx really shows.

use nxmesh_core::{
    digest::Digest,
    model::{ResourceSet, ServedCertificate},
};
use rustls_pki_types::CertificateDer;

use super::{confirm, probe};

/// More are not asked for at a time.
pub(crate) const MAX_CERTIFICATES: usize = 64;

/// Asks nginx for the certificates of `resources`, one for each host and address;
/// of more than `limit` hosts some, spread evenly.
pub(crate) async fn served(resources: &ResourceSet, limit: usize) -> Vec<ServedCertificate> {
    let Ok(connector) = probe::connector() else {
        return Vec::new();
    };
    let probes = confirm::questions(&ResourceSet::default(), resources, usize::MAX);
    let asked: Vec<_> = probes
        .iter()
        .filter_map(|probe| probe.certificate())
        .collect();
    let step = asked.len().div_ceil(limit.max(1)).max(1);
    let mut served = Vec::new();
    for (address, name, expected) in asked.into_iter().step_by(step) {
        let mut seen = ServedCertificate {
            server_name: name.to_owned(),
            address: address.to_string(),
            ..ServedCertificate::default()
        };
        match confirm::ask(probe::leaf(&connector, address, name)).await {
            Ok(leaf) => {
                let fingerprint = Digest::of(&leaf);
                seen.serial = serial(&leaf).unwrap_or_default();
                seen.expected = expected.contains(&fingerprint);
                seen.fingerprint = fingerprint.to_string();
            }
            Err(error) => seen.problem = error.to_string(),
        }
        served.push(seen);
    }
    served
}

/// The serial number in hexadecimal digits (RFC 5280, section 4.1): the first
/// integer of the signed part, behind the version if that is there.
fn serial(certificate: &CertificateDer<'_>) -> Option<String> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    const INTEGER: u8 = 0x02;
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (signed, _) = element(certificate, SEQUENCE)?;
    let behind = element(signed, VERSION).map_or(signed, |(_, rest)| rest);
    let (number, _) = element(behind, INTEGER)?;
    // A zero in front only says that the number is not negative.
    let number = match number {
        [0, rest @ ..] if !rest.is_empty() => rest,
        number => number,
    };
    Some(number.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The contents of an element of DER with this tag, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            let length = length
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    (found == tag).then(|| rest.split_at_checked(length))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_serial_number_is_read() {
        for (number, expected) in [
            (&[0x01][..], "01"),
            (&[0x7f, 0x00], "7f00"),
            (&[0xde, 0xad, 0xbe, 0xef], "deadbeef"),
        ] {
            let mut parameters = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
            parameters.serial_number = Some(rcgen::SerialNumber::from_slice(number));
            let key = rcgen::KeyPair::generate().unwrap();
            let made = parameters.self_signed(&key).unwrap();
            assert_eq!(serial(made.der()).as_deref(), Some(expected));
            // Whatever a stranger sends is read without harm.
            for length in 0..made.der().len().min(40) {
                serial(&CertificateDer::from(&made.der()[..length]));
            }
        }
        assert_eq!(
            serial(&CertificateDer::from(&[0x30, 0x84, 255, 255, 255, 255][..])),
            None
        );
    }
}
