//! What a decision was made of, as the history keeps it: so that it can be made again, under another configuration.

use std::path::PathBuf;

use landfall_handler_api::{ImageRecord, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalog::{Image, Origin};
use crate::cloud::Logins;
use crate::config::{Config, is_secret_key};
use crate::measured::Forecast;
use crate::place::{Access, Order};
use crate::publish::Dress;
use crate::redact;
use crate::route::Form;

/// Bytes that the history keeps of it. Of a record that has more nothing is kept.
const BYTES_MAX: usize = 32 << 10;
/// What stands for a secret.
const HIDDEN: &str = "***";

/// An image and what was wanted of it, without secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Inputs {
    /// The record; its URLs are redacted.
    record: ImageRecord,
    /// Who vouched for it.
    origin: InputsOrigin,
    as_is: bool,
    directory: bool,
    read_only: bool,
    replace: bool,
    allow_unhashed: bool,
    caller: u32,
    /// What was measured of its locations, where that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) forecast: Option<Forecast>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum InputsOrigin {
    Caller,
    RecordFile(PathBuf),
    Stream,
    Catalog,
}

impl Inputs {
    /// What `order` asks for.
    pub(crate) fn of(order: &Order<'_>, forecast: Option<&Forecast>) -> Self {
        let mut record = order.image.record.clone();
        record.direct_url = None;
        for location in &mut record.locations {
            if crate::store::file_path(&location.url).is_none() {
                location.url = redact::url(&location.url);
            }
            location.metadata.iter_mut().for_each(|(name, value)| hide(name, value));
        }
        record.properties.iter_mut().for_each(|(name, value)| hide(name, value));
        Self {
            record,
            origin: match &order.image.origin {
                Origin::Caller => InputsOrigin::Caller,
                Origin::RecordFile { directory } => InputsOrigin::RecordFile(directory.clone()),
                Origin::Stream => InputsOrigin::Stream,
                Origin::Catalog => InputsOrigin::Catalog,
            },
            as_is: order.form == Form::AsIs,
            directory: order.directory,
            read_only: order.access == Access::ReadOnly,
            replace: order.dress.replace,
            allow_unhashed: order.allow_unhashed,
            caller: order.caller,
            forecast: forecast.cloned(),
        }
    }

    /// For the history; nothing where it is too much.
    pub(crate) fn kept(&self) -> Value {
        match serde_json::to_string(self) {
            Ok(text) if text.len() <= BYTES_MAX => serde_json::from_str(&text).unwrap_or(Value::Null),
            _ => Value::Null,
        }
    }

    /// Of an entry of the history; nothing where that kept none.
    pub(crate) fn of_entry(record: &Value) -> Option<Self> {
        serde_json::from_value(record.get("inputs")?.clone()).ok()
    }

    /// The image, for whoever decides about it again.
    pub(crate) fn image(&self, config: &Config) -> Image {
        let origin = match &self.origin {
            InputsOrigin::Caller => Origin::Caller,
            InputsOrigin::RecordFile(directory) => Origin::RecordFile { directory: directory.clone() },
            InputsOrigin::Stream => Origin::Stream,
            InputsOrigin::Catalog => Origin::Catalog,
        };
        Image { record: self.record.clone(), origin, logins: Logins::for_stores(config) }
    }

    /// Gives `action` the order that was made, for `image`, at `target`.
    pub(crate) fn ordered<T>(
        &self,
        image: &Image,
        target: &std::path::Path,
        action: impl FnOnce(&Order<'_>) -> Result<T>,
    ) -> Result<T> {
        action(&Order {
            image,
            target,
            directory: self.directory,
            form: if self.as_is { Form::AsIs } else { Form::Raw },
            access: if self.read_only { Access::ReadOnly } else { Access::ReadWrite },
            dress: Dress { replace: self.replace, ..Dress::default() },
            allow_unhashed: self.allow_unhashed,
            shared: false,
            caller: self.caller,
        })
    }
}

/// Hides values whose names say that they are secret, however deep.
fn hide(name: &str, value: &mut Value) {
    match value {
        value if is_secret_key(name) => *value = Value::from(HIDDEN),
        Value::Object(members) => members.iter_mut().for_each(|(name, value)| hide(name, value)),
        Value::Array(items) => items.iter_mut().for_each(|item| hide(name, item)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_hidden_by_their_names() {
        let mut value = json!({ "api_key": "S", "plain": 1, "deep": [{ "password": { "of": "S" }, "token": ["S"] }] });
        hide("metadata", &mut value);
        let expected = json!({ "api_key": "***", "plain": 1, "deep": [{ "password": "***", "token": "***" }] });
        assert_eq!(value, expected);
    }
}
