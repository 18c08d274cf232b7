//! How OTLP's JSON differs from what serde makes of the messages: ids are hex, numbers of 64
//! bits are texts, `null` means absent, and values are objects that name their type.
//!
//! What is read may be more than what is written: numbers may be numbers, and fields nobody
//! knows are ignored.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize};

use super::messages::{Any, AnyValue, ArrayValue, KeyValueList};

/// Reads `null` as the default.
pub(super) fn or_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// A number of 64 bits, as one or as a text.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a number, or one as a text")]
enum Number<T> {
    Number(T),
    Text(String),
}

impl<T: std::str::FromStr> Number<T> {
    fn get<E: serde::de::Error>(self) -> Result<T, E> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Text(text) => text.parse().map_err(|_| E::custom(format!("`{text}` is not a number in range"))),
        }
    }
}

macro_rules! as_text {
    ($($name:ident $type:ty)+) => {$(
        #[doc = concat!("`", stringify!($type), "` as a text.")]
        pub(super) mod $name {
            use serde::{Deserialize, Deserializer, Serializer};

            pub(in super::super) fn serialize<S: Serializer>(value: &$type, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(value)
            }

            pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<$type, D::Error> {
                Option::<super::Number<$type>>::deserialize(from)?.map_or(Ok(0), super::Number::get)
            }
        }
    )+};
}
as_text!(unsigned u64 int64 i64);

/// Bytes as hex.
pub(super) mod hex {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::super::to_hex(bytes))
    }

    /// What is not hex becomes bytes no id has the length of: the one span is refused, not all.
    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = Option::<std::borrow::Cow<'_, str>>::deserialize(from)?.unwrap_or_default();
        Ok(super::super::from_hex(&text).unwrap_or_else(|| vec![0]))
    }
}

/// A value as JSON has it: one of the fields is there.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct AnyJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    string_value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bool_value: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text")]
    int_value: Option<Integer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    double_value: Option<Double>,
    #[serde(skip_serializing_if = "Option::is_none")]
    array_value: Option<ArrayValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kvlist_value: Option<KeyValueList>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_value: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
struct Integer(#[serde(with = "int64")] i64);

fn text<S: serde::Serializer>(value: &Option<Integer>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(Integer(value)) => to.collect_str(value),
        None => to.serialize_none(),
    }
}

/// A number; what JSON has no number for is a text: `NaN`, `Infinity`, `-Infinity`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number, or one as a text")]
enum Double {
    Number(f64),
    Text(String),
}

impl From<f64> for Double {
    fn from(value: f64) -> Self {
        if value.is_nan() {
            Self::Text("NaN".to_owned())
        } else if value.is_infinite() {
            Self::Text(if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned())
        } else {
            Self::Number(value)
        }
    }
}

impl From<AnyValue> for AnyJson {
    fn from(value: AnyValue) -> Self {
        let mut json = Self::default();
        match value.value {
            None => {}
            Some(Any::Text(text)) => json.string_value = Some(text),
            Some(Any::Boolean(value)) => json.bool_value = Some(value),
            Some(Any::Integer(value)) => json.int_value = Some(Integer(value)),
            Some(Any::Double(value)) => json.double_value = Some(value.into()),
            Some(Any::List(list)) => json.array_value = Some(list),
            Some(Any::Fields(fields)) => json.kvlist_value = Some(fields),
            Some(Any::Bytes(bytes)) => json.bytes_value = Some(STANDARD.encode(bytes)),
        }
        json
    }
}

impl TryFrom<AnyJson> for AnyValue {
    type Error = String;

    fn try_from(json: AnyJson) -> Result<Self, String> {
        let value = if let Some(text) = json.string_value {
            Some(Any::Text(text))
        } else if let Some(value) = json.bool_value {
            Some(Any::Boolean(value))
        } else if let Some(Integer(value)) = json.int_value {
            Some(Any::Integer(value))
        } else if let Some(value) = json.double_value {
            let value = match value {
                Double::Number(value) => value,
                Double::Text(text) => text.parse().map_err(|_| format!("`{text}` is not a number"))?,
            };
            Some(Any::Double(value))
        } else if let Some(list) = json.array_value {
            Some(Any::List(list))
        } else if let Some(fields) = json.kvlist_value {
            Some(Any::Fields(fields))
        } else if let Some(text) = json.bytes_value {
            Some(Any::Bytes(STANDARD.decode(&text).map_err(|error| format!("`bytesValue` is not base64: {error}"))?))
        } else {
            None
        };
        Ok(Self { value })
    }
}
