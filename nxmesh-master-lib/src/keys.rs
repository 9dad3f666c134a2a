//! Everything secret or public that lies in the data folder beside the state.

use std::sync::Arc;

use nxmesh_core::contract::clock::Clock;
use tracing::warn;

use crate::{
    auth::{AccessTokens, new_signing_key_pem},
    builder::BuildError,
    data_dir::DataDir,
    tls::{Authority, ServerCertificate},
};

const TOKEN_KEY: &str = "jwt.pem";

/// The keys of one master, with the folder they lie in.
#[derive(Debug)]
pub(crate) struct Keys {
    data_dir: DataDir,
    clock: Arc<dyn Clock>,
    pub(crate) authority: Authority,
    pub(crate) certificate: Arc<ServerCertificate>,
    pub(crate) tokens: Arc<AccessTokens>,
}

impl Keys {
    /// Opens what is there and makes what is missing.
    pub(crate) fn open(
        data_dir: DataDir,
        names: impl IntoIterator<Item = String>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BuildError> {
        let now = clock.now();
        let authority = Authority::open(&data_dir, now)?;
        let certificate = ServerCertificate::open(&data_dir, &authority, names, now)?;
        let tokens = access_tokens(&data_dir, Arc::clone(&clock))?;
        Ok(Self {
            data_dir,
            clock,
            authority,
            certificate: Arc::new(certificate),
            tokens: Arc::new(tokens),
        })
    }

    /// Replaces the server's certificate if its end is near. The old one stays
    /// in use if that fails.
    pub(crate) fn renew_if_due(&self) {
        let now = self.clock.now();
        let renewed = self
            .certificate
            .renew_if_due(&self.data_dir, &self.authority, now);
        if let Err(error) = renewed {
            warn!(%error, "could not renew the master's certificate");
        }
    }
}

fn access_tokens(data_dir: &DataDir, clock: Arc<dyn Clock>) -> Result<AccessTokens, BuildError> {
    let key = match data_dir.read(TOKEN_KEY)? {
        Some(key) => key,
        None => {
            let key = new_signing_key_pem()?;
            data_dir.write_secret(TOKEN_KEY, &key)?;
            key
        }
    };
    Ok(AccessTokens::new(&key, clock)?)
}
