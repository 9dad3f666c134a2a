//! Documents as they rest in a column: JSON that says which form it is in,
//! with the secrets apart and encrypted.

use nxmesh_core::model::{Resource, ResourceKind};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::storage::{AtRestKey, SealError};

/// The one form there is so far.
const FORM: u32 = 1;
/// Where a certificate's secret stands, and where it is put back.
const SECRET_OWNER: &str = "/spec";
const SECRET_FIELD: &str = "private_key";

#[derive(Serialize, Deserialize)]
struct Stored<T> {
    form: u32,
    document: T,
}

/// Why a document cannot be stored or read back.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoredFormError {
    #[error("it is in form {0}, which this version does not know; a newer version wrote it")]
    UnknownForm(u32),
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("its private key is missing")]
    NoSecret,
    #[error("its private key cannot be read: {0}")]
    Sealed(#[from] SealError),
}

pub(super) fn encode(document: &impl Serialize) -> Result<String, StoredFormError> {
    let form = FORM;
    Ok(serde_json::to_string(&Stored { form, document })?)
}

pub(super) fn decode<T: DeserializeOwned>(text: &str) -> Result<T, StoredFormError> {
    let stored: Stored<Value> = serde_json::from_str(text)?;
    if stored.form != FORM {
        return Err(StoredFormError::UnknownForm(stored.form));
    }
    Ok(serde_json::from_value(stored.document)?)
}

/// A resource in two columns.
#[derive(Debug, Clone)]
pub(super) struct StoredDocument {
    /// Everything but the secret.
    pub(super) json: String,
    /// The encrypted private key of a certificate.
    pub(super) secret: Option<Vec<u8>>,
}

impl StoredDocument {
    /// Takes `resource` apart; its secret can be opened again at `place` only.
    pub(super) fn seal(
        key: &AtRestKey,
        place: &str,
        resource: &Resource,
    ) -> Result<Self, StoredFormError> {
        let mut document = serde_json::to_value(resource)?;
        let secret = take_secret(&mut document)
            .map(|secret| key.seal(place, secret.as_bytes()))
            .transpose()?;
        if secret.is_none() && resource.kind() == ResourceKind::Certificate {
            return Err(StoredFormError::NoSecret);
        }
        Ok(Self {
            json: encode(&document)?,
            secret,
        })
    }

    /// Puts the resource together again.
    pub(super) fn open(&self, key: &AtRestKey, place: &str) -> Result<Resource, StoredFormError> {
        let mut document: Value = decode(&self.json)?;
        if let Some(sealed) = &self.secret {
            let secret = key.open(place, sealed)?;
            let secret = std::str::from_utf8(&secret)
                .map_err(|_| StoredFormError::Sealed(SealError::NotOpened))?;
            let owner = document
                .pointer_mut(SECRET_OWNER)
                .and_then(Value::as_object_mut)
                .ok_or(StoredFormError::NoSecret)?;
            owner.insert(SECRET_FIELD.to_owned(), Value::from(secret));
        }
        Ok(serde_json::from_value(document)?)
    }
}

fn take_secret(document: &mut Value) -> Option<Zeroizing<String>> {
    let owner = document.pointer_mut(SECRET_OWNER)?.as_object_mut()?;
    match owner.remove(SECRET_FIELD)? {
        Value::String(secret) => Some(Zeroizing::new(secret)),
        _ => None,
    }
}
