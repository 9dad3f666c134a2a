//! Certificates for tests.

use anyhow::{Context, Result};

/// A self-signed certificate with its key.
#[derive(Debug)]
pub struct SelfSigned {
    /// The certificate in PEM.
    pub certificate_pem: String,
    /// The certificate in DER, as a server shows it.
    pub certificate_der: Vec<u8>,
    /// The key in PEM.
    pub key_pem: String,
}

impl SelfSigned {
    /// Makes one for `name`.
    ///
    /// # Errors
    ///
    /// When `name` cannot stand in a certificate.
    pub fn new(name: &str) -> Result<Self> {
        let made = rcgen::generate_simple_self_signed([name.to_owned()])
            .with_context(|| format!("could not make a certificate for {name}"))?;
        Ok(Self {
            certificate_pem: made.cert.pem(),
            certificate_der: made.cert.der().to_vec(),
            key_pem: made.signing_key.serialize_pem(),
        })
    }

    /// The Certificate document called `name`.
    #[must_use]
    pub fn document(&self, name: &str) -> String {
        let block =
            |pem: &str| -> String { pem.lines().map(|line| format!("    {line}\n")).collect() };
        format!(
            "kind: Certificate\nmetadata: {{ name: {name} }}\nspec:\n  certificate: |\n{}  private_key: |\n{}",
            block(&self.certificate_pem),
            block(&self.key_pem)
        )
    }

    /// A line from the middle of the key: where it is found, the key is.
    #[must_use]
    pub fn key_line(&self) -> &str {
        self.key_pem.lines().nth(1).unwrap_or_default()
    }
}
