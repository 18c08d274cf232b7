//! `secret.get`: what the operator put under `[secrets]`.

use hotbay_plugin::{Error, error::code};
use serde::Deserialize;

use super::{Services, answer, parse};
use crate::config::{self, SecretSource};

#[derive(Deserialize)]
struct SecretRequest {
    name: String,
}

impl Services {
    pub(super) fn secret(&self, body: &[u8]) -> Result<Vec<u8>, Error> {
        let SecretRequest { name } = parse(body)?;
        let missing = |what: String| Error::with_code(code::NOT_FOUND, what);
        match self.secrets.get(&name) {
            Some(SecretSource::Value(secret)) => answer(&secret.0),
            Some(SecretSource::Variable(variable)) => match config::variable(&variable.env) {
                Some(value) => answer(&value),
                None => Err(missing(format!(
                    "secret `{name}` is in the environment variable {}, which is not set",
                    variable.env
                ))),
            },
            None => Err(missing(format!(
                "there is no secret `{name}`: add `{name} = {{ env = \"VARIABLE\" }}` to [secrets] of hotbay.toml"
            ))),
        }
    }
}
