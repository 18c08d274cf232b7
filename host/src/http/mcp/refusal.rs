//! What is refused before it is spoken to a server, in the protocol's own words: a client that reads
//! JSON-RPC is told what was wrong in JSON-RPC.

use axum::{
    Json,
    body::to_bytes,
    response::{IntoResponse, Response},
};
use http::{Method, StatusCode};
use serde_json::{Value, json};

/// The longest reason that is read.
const REASON: usize = 64 * 1024;

const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const INTERNAL_ERROR: i32 = -32603;
const REFUSED: i32 = -32000;

/// A refusal.
#[derive(Debug, PartialEq)]
struct Refusal {
    status: StatusCode,
    code: i32,
    message: String,
    id: Value,
}

/// Returns a refusal in the protocol's words.
pub(super) async fn of(response: Response, method: &Method, body: &[u8]) -> Response {
    let status = response.status();
    let said = to_bytes(response.into_body(), REASON).await.unwrap_or_default();
    tell(refuse(status, &String::from_utf8_lossy(&said), method, body))
}

/// Refuses a body that is too long.
pub(super) fn too_large() -> Response {
    let message = "Request body too large".to_owned();
    tell(Refusal { status: StatusCode::PAYLOAD_TOO_LARGE, code: REFUSED, message, id: Value::Null })
}

fn refuse(status: StatusCode, said: &str, method: &Method, body: &[u8]) -> Refusal {
    let mut id = Value::Null;
    let (status, code, message) = match status {
        StatusCode::NOT_FOUND => (status, REFUSED, "Session not found"),
        StatusCode::METHOD_NOT_ALLOWED => (status, REFUSED, "Method not allowed."),
        StatusCode::UNSUPPORTED_MEDIA_TYPE if !said.starts_with("Unsupported Media Type") => {
            let (code, message) = unreadable(body);
            (StatusCode::BAD_REQUEST, code, message)
        }
        StatusCode::BAD_REQUEST if said.contains("Session ID is required") => {
            let message = match *method {
                Method::GET => "Bad Request: GET request requires a valid session ID",
                Method::DELETE => "Bad Request: DELETE request requires a valid session ID",
                _ => {
                    let message: Value = serde_json::from_slice(body).unwrap_or_default();
                    id = message["id"].clone();
                    "Bad Request: No valid session ID provided for non-initialize request"
                }
            };
            (status, REFUSED, message)
        }
        // What goes wrong inside is nobody's business outside.
        status if status.is_server_error() => (status, INTERNAL_ERROR, "Internal server error"),
        status => (status, REFUSED, said),
    };
    Refusal { status, code, message: message.to_owned(), id }
}

/// Says what is wrong with a body that is no message.
fn unreadable(body: &[u8]) -> (i32, &'static str) {
    match serde_json::from_slice::<Value>(body) {
        Err(_) => (PARSE_ERROR, "Parse error: the request body is not valid JSON"),
        Ok(Value::Array(_)) => (INVALID_REQUEST, "Bad Request: JSON-RPC batches are not supported by this endpoint"),
        Ok(_) => (INVALID_REQUEST, "Bad Request: the request body is not a valid JSON-RPC message"),
    }
}

fn tell(refusal: Refusal) -> Response {
    let Refusal { status, code, message, id } = refusal;
    (status, Json(json!({"jsonrpc": "2.0", "error": {"code": code, "message": message}, "id": id}))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, said: &str, method: &Method, body: &str, expected: (u16, i32, &str, Value)) {
        let refusal = refuse(StatusCode::from_u16(status).unwrap(), said, method, body.as_bytes());
        let (status, code, message, id) = expected;
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(refusal, Refusal { status, code, message: message.to_owned(), id });
    }

    #[test]
    fn a_body_that_is_no_message_is_a_bad_request() {
        let said = "fail to deserialize request body";
        let post = &Method::POST;
        let parse = "Parse error: the request body is not valid JSON";
        check(415, said, post, "{", (400, PARSE_ERROR, parse, Value::Null));
        let batch = "Bad Request: JSON-RPC batches are not supported by this endpoint";
        check(415, said, post, "[]", (400, INVALID_REQUEST, batch, Value::Null));
        let other = "Bad Request: the request body is not a valid JSON-RPC message";
        check(415, said, post, "{}", (400, INVALID_REQUEST, other, Value::Null));
        let wrong_type = "Unsupported Media Type: Content-Type must be application/json";
        check(415, wrong_type, post, "{}", (415, REFUSED, wrong_type, Value::Null));
    }

    #[test]
    fn a_request_without_a_session_is_told_its_id() {
        let said = "Bad Request: Session ID is required";
        let expected = "Bad Request: No valid session ID provided for non-initialize request";
        check(400, said, &Method::POST, r#"{"id": 2}"#, (400, REFUSED, expected, json!(2)));
    }

    #[test]
    fn what_goes_wrong_inside_is_not_told() {
        check(500, "secret", &Method::POST, "{}", (500, INTERNAL_ERROR, "Internal server error", Value::Null));
    }
}
