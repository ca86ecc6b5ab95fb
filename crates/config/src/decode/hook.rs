//! Hooks.

use super::health::DAY;
use super::{At, Decoder, DraftHook, Fields};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::keys;
use crate::tree::{Entry, Kind, Node};
use landfall_model::{Hook, HookName, Millis, ServiceName, Verb};
use std::collections::BTreeSet;

const VERBS: [(&str, Verb); 3] =
    [("up", Verb::Up), ("rollback", Verb::Rollback), ("forward", Verb::Forward)];

impl Decoder<'_, '_> {
    /// The hooks, in the order of the file.
    pub(crate) fn hooks(&mut self, root: &Node) -> Vec<DraftHook> {
        let Some(entry) = root.get("hooks") else { return Vec::new() };
        if entry.value.is_null() {
            self.no_value(entry, "hooks");
            return Vec::new();
        }
        let what = "`hooks`".to_owned();
        let Some(fields) = self.fields(&entry.value, &keys::HOOKS, &entry.key_span, what) else {
            return Vec::new();
        };
        let Some(before) = fields.get("before") else { return Vec::new() };
        let Some(entries) = self.map_of(before, "hook") else { return Vec::new() };
        entries.iter().map(|entry| self.hook(entry)).collect()
    }

    fn hook(&mut self, entry: &Entry) -> DraftHook {
        let name = self.name::<HookName>(&entry.key, &entry.key_span, "hook");
        let nothing = DraftHook { service: None, hook: None };
        if entry.value.is_null() {
            self.no_value(entry, "hook");
            return nothing;
        }
        let what = format!("hook `{}`", entry.key);
        let Some(fields) = self.fields(&entry.value, &keys::HOOK, &entry.key_span, what) else {
            return nothing;
        };
        let service = self.reference::<ServiceName>(&fields, "service", "service: web");
        let command = self
            .required(&fields, "command", "command: [./program, migrate]")
            .and_then(|entry| self.command(&entry.value, &fields.of("command")));
        let timeout = self.span_or(&fields, "timeout", Millis::from_secs(300), (Millis(1000), DAY));
        let on = self.verbs(&fields);
        let retry_safe = self.retry(&fields);
        let hook = (|| {
            Some(Hook {
                name: name?,
                service: service.as_ref()?.value.clone(),
                command: command?,
                timeout: timeout?,
                on: on?,
                retry_safe: retry_safe?,
            })
        })();
        DraftHook { service, hook }
    }

    /// The name of something that is declared elsewhere.
    pub(crate) fn reference<N>(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        example: &str,
    ) -> Option<At<N>>
    where
        N: std::str::FromStr<Err = landfall_model::NameError>,
    {
        let entry = self.required(fields, key, example)?;
        let text = self.name_text(&entry.value, &fields.of(key))?;
        let span = entry.value.span.clone();
        let thing = if key == "to" { "service" } else { key };
        let value = self.name(&text, &span, thing)?;
        Some(At { value, span })
    }

    fn verbs(&mut self, fields: &Fields<'_>) -> Option<BTreeSet<Verb>> {
        let Some(entry) = fields.get("on") else { return Some(BTreeSet::from([Verb::Up])) };
        let what = fields.of("on");
        if !matches!(entry.value.kind, Kind::List(_)) {
            let verb = match entry.value.kind {
                Kind::Map(_) => {
                    let help = "write `[up, rollback]`".to_owned();
                    self.wrong_type(&entry.value, &what, "a list of verbs", Some(help));
                    None
                }
                _ => self.word(&entry.value, &what, &VERBS, &[]),
            };
            return Some(BTreeSet::from([verb?]));
        }
        let items = self.items(&entry.value, &what, "write `[up, rollback]`")?;
        if items.is_empty() {
            self.add(
                Diagnostic::error(
                    codes::EMPTY,
                    entry.value.span.clone(),
                    format!("{what} is empty, so the {} would never run", fields.what),
                )
                .help("write `[up]`, or remove the hook"),
            );
            return None;
        }
        let verbs: Vec<Option<Verb>> = items
            .iter()
            .map(|item| self.word(item, &format!("a verb in {what}"), &VERBS, &[]))
            .collect();
        verbs.into_iter().collect()
    }

    fn retry(&mut self, fields: &Fields<'_>) -> Option<bool> {
        match fields.get("retry") {
            None => Some(false),
            Some(entry) => self.word(&entry.value, &fields.of("retry"), &[("safe", true)], &[]),
        }
    }
}
