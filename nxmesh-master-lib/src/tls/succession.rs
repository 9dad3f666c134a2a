//! The change from one authority to the next, without locking an agent out.
//!
//! [`prepare`] makes the successor and has the current authority vouch for it.
//! From its next start the master tells agents to trust both. [`promote`] makes
//! the successor the authority. An agent that was told knows it; one that was
//! away all the time trusts the old authority, which vouches for the new one in
//! the chain that the master shows from then on, and is told when it comes.

use std::time::SystemTime;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};

use super::{
    TlsError,
    authority::{self, Authority, CERTIFICATE, KEY},
    certificate_error,
};
use crate::data_dir::DataDir;

pub(super) const NEXT_CERTIFICATE: &str = "ca-next.pem";
const NEXT_KEY: &str = "ca-next.key";
/// Predecessors' certificates for the keys that followed theirs, newest first.
pub(super) const VOUCHERS: &str = "ca-vouchers.pem";
const NEXT_VOUCHERS: &str = "ca-next-vouchers.pem";

/// What may be wrong with a change of authority.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuccessionError {
    /// There is no authority yet.
    #[error("there is no authority to succeed; the master makes one at its first start")]
    NoAuthority,
    /// There is no successor.
    #[error("no successor is announced; `nxmesh-master ca prepare` makes one")]
    NotPrepared,
    /// Keys or certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Makes a successor of the authority in `data`, for the master to announce
/// from its next start on. Returns whether there was none yet.
///
/// # Errors
///
/// [`SuccessionError`]; without a whole successor nothing is announced.
pub fn prepare(data: &DataDir, now: SystemTime) -> Result<bool, SuccessionError> {
    finish(data)?;
    if data.read(CERTIFICATE).map_err(TlsError::from)?.is_none() {
        return Err(SuccessionError::NoAuthority);
    }
    if data
        .read(NEXT_CERTIFICATE)
        .map_err(TlsError::from)?
        .is_some()
    {
        return Ok(false);
    }
    make(data, now)?;
    Ok(true)
}

fn make(data: &DataDir, now: SystemTime) -> Result<(), TlsError> {
    let current = Authority::open(data, now)?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
        .map_err(certificate_error("make the successor's key"))?;
    let params = authority::params(now);
    let mut vouchers = params
        .signed_by(&key, current.issuer())
        .map_err(certificate_error("vouch for the successor"))?
        .pem();
    vouchers.push_str(data.read(VOUCHERS)?.as_deref().map_or("", String::as_str));
    let certificate = params
        .self_signed(&key)
        .map_err(certificate_error("make the successor's certificate"))?
        .pem();
    let key = zeroize::Zeroizing::new(key.serialize_pem());
    data.write_secret(NEXT_KEY, &key)?;
    data.write_public(NEXT_VOUCHERS, &vouchers)?;
    // Last: with it the successor is whole.
    data.write_public(NEXT_CERTIFICATE, &certificate)?;
    Ok(())
}

/// Puts the successor in the place of the authority in `data`, whose key is
/// gone then. The master makes itself a certificate from it at its next start.
///
/// # Errors
///
/// [`SuccessionError`]; what was begun is finished by the next call, or the
/// master's next start.
pub fn promote(data: &DataDir) -> Result<(), SuccessionError> {
    if data
        .read(NEXT_CERTIFICATE)
        .map_err(TlsError::from)?
        .is_none()
    {
        return Err(SuccessionError::NotPrepared);
    }
    replace(data)?;
    Ok(())
}

/// Finishes a change that was cut short: its first step takes the key away.
pub(super) fn finish(data: &DataDir) -> Result<(), TlsError> {
    let begun = data.read(NEXT_CERTIFICATE)?.is_some() && data.read(NEXT_KEY)?.is_none();
    if begun { replace(data) } else { Ok(()) }
}

/// Each step may be the last before a crash.
fn replace(data: &DataDir) -> Result<(), TlsError> {
    data.rename(NEXT_KEY, KEY)?;
    data.rename(NEXT_VOUCHERS, VOUCHERS)?;
    data.rename(NEXT_CERTIFICATE, CERTIFICATE)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn rig() -> (tempfile::TempDir, DataDir) {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        (folder, data)
    }

    fn open(data: &DataDir) -> Authority {
        Authority::open(data, SystemTime::now()).unwrap()
    }

    #[test]
    fn a_successor_is_announced_and_takes_over() {
        let (_folder, data) = rig();
        let now = SystemTime::now();
        let error = prepare(&data, now).unwrap_err();
        assert!(matches!(error, SuccessionError::NoAuthority), "{error}");
        let first = open(&data).pem().to_owned();
        assert_eq!(open(&data).announced(), first);
        let error = promote(&data).unwrap_err();
        assert!(matches!(error, SuccessionError::NotPrepared), "{error}");

        assert!(prepare(&data, now).unwrap());
        assert!(!prepare(&data, now).unwrap());
        let both = open(&data).announced().to_owned();
        assert!(both.starts_with(&first) && both.len() > first.len());
        assert_eq!(open(&data).pem(), first);
        assert!(open(&data).vouchers().is_empty());

        promote(&data).unwrap();
        let second = open(&data);
        assert!(both.ends_with(second.pem()));
        assert_eq!(second.announced(), second.pem());
        assert_eq!(second.vouchers().len(), 1);

        assert!(prepare(&data, now).unwrap());
        promote(&data).unwrap();
        assert_eq!(open(&data).vouchers().len(), 2);
    }

    #[test]
    fn a_change_that_was_cut_short_is_finished() {
        for steps in 0..=2 {
            let (folder, data) = rig();
            open(&data);
            prepare(&data, SystemTime::now()).unwrap();
            let next = data.read(NEXT_CERTIFICATE).unwrap().unwrap().to_string();
            let files = [(NEXT_KEY, KEY), (NEXT_VOUCHERS, VOUCHERS)];
            for (from, to) in files.into_iter().take(steps) {
                fs::rename(folder.path().join(from), folder.path().join(to)).unwrap();
            }
            // Before the first step the old one is still in its place.
            assert_eq!(open(&data).pem() == next, steps > 0, "{steps} steps");
        }
    }

    #[test]
    fn a_successor_that_is_not_whole_is_made_anew() {
        let (_folder, data) = rig();
        open(&data);
        data.write_secret(NEXT_KEY, "half").unwrap();
        assert_eq!(open(&data).announced(), open(&data).pem());
        assert!(prepare(&data, SystemTime::now()).unwrap());
        promote(&data).unwrap();
        open(&data);
    }
}
