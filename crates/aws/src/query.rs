//! The protocol of load balancers and STS: a form goes in, XML comes out.

use crate::call::{Complaint, Question};
use crate::connection::Aws;
use crate::endpoint::Service;
use crate::error::{AwsError, Result};
use crate::http::Answer;
use crate::region::Region;
use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Everything but the characters that no signature and no server reads in two ways.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The most pages of one listing: thousands of resources, and no listing that never ends.
const PAGES: usize = 200;

/// A form's fields.
#[derive(Debug, Clone, Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    pub fn field(mut self, name: &str, value: impl ToString) -> Self {
        self.0.push((name.to_owned(), value.to_string()));
        self
    }

    /// A list, which the protocol numbers from one.
    pub fn list<T: ToString>(mut self, name: &str, values: &[T]) -> Self {
        for (index, value) in values.iter().enumerate() {
            self.0.push((format!("{name}.member.{}", index + 1), value.to_string()));
        }
        self
    }

    fn encode(&self, action: &str, version: &str) -> String {
        let mut text = format!("Action={action}&Version={version}");
        for (name, value) in &self.0 {
            text.push('&');
            text.push_str(name);
            text.push('=');
            text.extend(utf8_percent_encode(value, ESCAPED));
        }
        text
    }
}

/// The lists of this protocol: `<Names><member>…</member></Names>`.
#[derive(Debug, Deserialize)]
pub(crate) struct Members<T> {
    #[serde(rename = "member", default = "Vec::new")]
    pub member: Vec<T>,
}

impl<T> Default for Members<T> {
    fn default() -> Self {
        Self { member: Vec::new() }
    }
}

/// An answer that may have more to follow.
pub(crate) trait Page {
    /// What is listed.
    type Item;
    /// What the page lists, and where the next one begins.
    fn parts(self) -> (Vec<Self::Item>, Option<String>);
}

#[derive(Deserialize)]
struct Refused {
    #[serde(rename = "Error")]
    error: RefusedBecause,
}

#[derive(Deserialize)]
struct RefusedBecause {
    #[serde(rename = "Code", default)]
    code: String,
    #[serde(rename = "Message", default)]
    message: String,
}

fn complaint(answer: &Answer) -> Complaint {
    let text = String::from_utf8_lossy(&answer.body);
    match quick_xml::de::from_str::<Refused>(&text) {
        Ok(Refused { error }) => Complaint { code: error.code, message: error.message },
        Err(_) => crate::json::unknown(answer),
    }
}

impl Aws {
    /// One call of the service.
    pub(crate) async fn query<T: DeserializeOwned>(
        &self,
        service: Service,
        region: &Region,
        action: &'static str,
        form: &Form,
    ) -> Result<T> {
        let version = if service == Service::Sts { "2011-06-15" } else { "2015-12-01" };
        let question = Question {
            service,
            action,
            region,
            method: Method::POST,
            path: "/".to_owned(),
            headers: vec![("content-type", "application/x-www-form-urlencoded".to_owned())],
            body: form.encode(action, version).into(),
            repeatable: true,
        };
        let body = self.ask(&question, complaint).await?;
        let unreadable = |why| AwsError::Unreadable { call: question.call(), why };
        let text = std::str::from_utf8(&body).map_err(|error| unreadable(error.to_string()))?;
        quick_xml::de::from_str(text).map_err(|error| unreadable(landfall_model::chain(&error)))
    }

    /// Every page of a listing of load balancers and what belongs to them.
    pub(crate) async fn pages<T: DeserializeOwned + Page>(
        &self,
        region: &Region,
        action: &'static str,
        form: Form,
    ) -> Result<Vec<T::Item>> {
        let mut found = Vec::new();
        let mut marker: Option<String> = None;
        for _ in 0..PAGES {
            let mut form = form.clone();
            if let Some(marker) = &marker {
                form = form.field("Marker", marker);
            }
            let page: T = self.query(Service::LoadBalancing, region, action, &form).await?;
            let (items, next) = page.parts();
            found.extend(items);
            match next.filter(|it| !it.is_empty()) {
                None => return Ok(found),
                next if next == marker => break,
                next => marker = next,
            }
        }
        let action = format!("{}:{action}", Service::LoadBalancing.name());
        let call = crate::Call { action, region: region.clone() };
        Err(AwsError::Unreadable { call, why: "its pages never end".to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_cannot_break_out_of_the_form() {
        let form = Form::default().field("Name", "a&b=c d+é~").list("Names", &["x", "y"]);
        assert_eq!(
            form.encode("Do", "1"),
            "Action=Do&Version=1&Name=a%26b%3Dc%20d%2B%C3%A9~&Names.member.1=x&Names.member.2=y"
        );
    }

    #[test]
    fn a_cut_answer_is_no_answer() {
        #[derive(Debug, Deserialize)]
        struct Answer {
            #[serde(rename = "Names", default)]
            names: Members<String>,
        }
        let whole = "<Answer><Names><member>a</member><member>b</member></Names></Answer>";
        let read: Answer = quick_xml::de::from_str(whole).expect("an answer");
        assert_eq!(read.names.member, ["a", "b"]);
        let none: Answer = quick_xml::de::from_str("<Answer><Names/></Answer>").expect("an answer");
        assert!(none.names.member.is_empty());
        for end in 1..whole.len() {
            assert!(quick_xml::de::from_str::<Answer>(&whole[..end]).is_err(), "{end}");
        }
    }
}
