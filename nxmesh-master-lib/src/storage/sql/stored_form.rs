//! Documents as they rest in a column: JSON that says which form it is in,
//! with the secrets apart and encrypted.

use nxmesh_core::model::{Resource, ResourceKind, for_each_secret};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::storage::{AtRestKey, SealError};

/// The one form there is so far.
const FORM: u32 = 1;
/// Where a certificate's secret stands. It is sealed as it is; those of others as
/// a JSON object, by their JSON pointers.
const PRIVATE_KEY: &str = "/spec/private_key";

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
    #[error("its secrets cannot be read: {0}")]
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
    /// What is secret, encrypted: the private key of a certificate, passwords, keys.
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
        let secrets = take_secrets(&mut document);
        if resource.kind() == ResourceKind::Certificate && !secrets.contains_key(PRIVATE_KEY) {
            return Err(StoredFormError::NoSecret);
        }
        let text = match secrets.get(PRIVATE_KEY) {
            Some(Value::String(private_key)) => Some(Zeroizing::new(private_key.clone())),
            _ if secrets.is_empty() => None,
            _ => Some(Zeroizing::new(serde_json::to_string(&secrets)?)),
        };
        let secret = text
            .map(|text| key.seal(place, text.as_bytes()))
            .transpose()?;
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
            put_secrets(&mut document, secret)?;
        }
        Ok(serde_json::from_value(document)?)
    }
}

/// The secrets of a document by their pointers; null stands for them there.
fn take_secrets(document: &mut Value) -> serde_json::Map<String, Value> {
    let mut secrets = serde_json::Map::new();
    for_each_secret(document, &mut |pointer, secret| {
        secrets.insert(pointer.to_owned(), secret.take());
    });
    // As the form was before others had secrets.
    if secrets.contains_key(PRIVATE_KEY)
        && let Some(spec) = document.pointer_mut("/spec").and_then(Value::as_object_mut)
    {
        spec.remove("private_key");
    }
    secrets
}

fn put_secrets(document: &mut Value, secret: &str) -> Result<(), StoredFormError> {
    if document["kind"] == ResourceKind::Certificate.as_str() {
        let spec = document.pointer_mut("/spec").and_then(Value::as_object_mut);
        let spec = spec.ok_or(StoredFormError::NoSecret)?;
        spec.insert("private_key".to_owned(), Value::from(secret));
        return Ok(());
    }
    let secrets: serde_json::Map<String, Value> = serde_json::from_str(secret)?;
    for (pointer, secret) in secrets {
        let place = document.pointer_mut(&pointer);
        *place.ok_or(StoredFormError::NoSecret)? = secret;
    }
    Ok(())
}
