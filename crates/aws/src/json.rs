//! The protocols of certificates and clusters: JSON comes out.

use crate::call::{Complaint, Question};
use crate::connection::Aws;
use crate::error::{AwsError, Result};
use crate::http::Answer;
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize, Default)]
struct Refused {
    #[serde(rename = "__type", alias = "code", default)]
    code: String,
    #[serde(alias = "Message", default)]
    message: String,
}

/// The code is in a header or in the body, at times with a namespace before or an address after it.
pub(crate) fn complaint(answer: &Answer) -> Complaint {
    let Ok(Refused { code, message }) = serde_json::from_slice(&answer.body) else {
        return unknown(answer);
    };
    let header = answer.headers.get("x-amzn-errortype").and_then(|it| it.to_str().ok());
    let code = header.map_or(code, str::to_owned);
    let code = code.rsplit('#').next().unwrap_or_default();
    let code = code.split(':').next().unwrap_or_default().trim();
    Complaint { code: code.to_owned(), message }
}

/// An error that is not AWS's own: a proxy's page, or nothing at all.
pub(crate) fn unknown(answer: &Answer) -> Complaint {
    let text = String::from_utf8_lossy(&answer.body);
    let start: String = text.trim().chars().take(120).collect();
    let message = if start.is_empty() { "no explanation".to_owned() } else { start };
    Complaint { code: format!("HTTP {}", answer.status), message }
}

impl Aws {
    /// Asks, and reads the answer as JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&self, question: &Question<'_>) -> Result<T> {
        let body = self.ask(question, complaint).await?;
        serde_json::from_slice(&body)
            .map_err(|error| AwsError::Unreadable { call: question.call(), why: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue};

    #[test]
    fn a_code_is_found_wherever_it_is_written() {
        let answer = |body: &'static str, header: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert("x-amzn-errortype", HeaderValue::from_static(header));
            }
            complaint(&Answer { status: 400, headers, body: body.into() })
        };
        for (body, header, code) in [
            (
                r#"{"__type":"com.amazonaws.acm#ResourceNotFoundException"}"#,
                None,
                "ResourceNotFoundException",
            ),
            (r#"{"__type":"ThrottlingException","message":"m"}"#, None, "ThrottlingException"),
            (
                r#"{"message":"m"}"#,
                Some("AccessDeniedException:http://x/y"),
                "AccessDeniedException",
            ),
            ("<html>no</html>", None, "HTTP 400"),
        ] {
            assert_eq!(answer(body, header).code, code);
        }
        assert_eq!(answer(r#"{"__type":"X","Message":"why"}"#, None).message, "why");
    }
}
