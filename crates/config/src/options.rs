//! Options: their declarations, and the values they get from defaults, stacks and people.

mod literal;

use crate::codes;
use crate::decode::Decoder;
use crate::diagnostic::Diagnostic;
use crate::keys;
use crate::nearest::suggest;
use crate::source::{SourceFile, Span};
use crate::tree::{Entry, Kind, Node};
use landfall_model::{OptionName, OptionType, OptionValue, Provenance};
use std::collections::BTreeMap;

/// How the variable of an option begins: `LANDFALL_OPTION_REPLICAS`.
pub const VARIABLE_PREFIX: &str = "LANDFALL_OPTION_";

/// Values that come from outside of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overrides {
    /// `--set name=value`, in order; they win over everything else, and later ones over earlier.
    pub set: Vec<(String, String)>,
    /// Variables that begin with `LANDFALL_OPTION_`; they win over the file. Others are passed over.
    pub environment: BTreeMap<String, String>,
}

/// A declared option.
#[derive(Debug, Clone)]
pub(crate) struct Declaration {
    pub(crate) name: OptionName,
    pub(crate) span: Span,
    /// Its type; none when that is wrong.
    pub(crate) kind: Option<OptionType>,
    default: Option<Setting>,
    min: Option<Setting>,
    max: Option<Setting>,
}

/// A value that is written somewhere in the file.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// Nothing when it was found to be wrong.
    pub(crate) value: Option<OptionValue>,
    pub(crate) span: Span,
}

/// The value of an option in one stack.
#[derive(Debug, Clone)]
pub(crate) struct Current {
    pub(crate) kind: Option<OptionType>,
    pub(crate) declared: Span,
    pub(crate) origin: Option<Span>,
    pub(crate) value: Option<OptionValue>,
    pub(crate) from: Option<Provenance>,
    /// Whether anything gave it a value, be it a wrong one.
    pub(crate) given: bool,
}

/// The values of all options in one stack.
pub(crate) type Values = BTreeMap<OptionName, Current>;

/// Reads `options`.
pub(crate) fn declarations(decoder: &mut Decoder<'_, '_>, root: &Node) -> Vec<Declaration> {
    let Some(entry) = root.get("options").filter(|entry| !entry.value.is_null()) else {
        return Vec::new();
    };
    let Some(entries) = decoder.map_of(entry, "option") else { return Vec::new() };
    let mut all = Vec::new();
    for entry in entries {
        let name = decoder.name::<OptionName>(&entry.key, &entry.key_span, "option");
        let body = declaration(decoder, entry);
        if let Some(name) = name {
            all.push(checked(decoder, name, entry.key_span.clone(), body));
        }
    }
    all
}

/// What a declaration says, without its name.
#[derive(Default)]
struct Body {
    kind: Option<OptionType>,
    default: Option<Setting>,
    min: Option<Setting>,
    max: Option<Setting>,
}

fn declaration(decoder: &mut Decoder<'_, '_>, entry: &Entry) -> Body {
    let what = format!("option `{}`", entry.key);
    let Some(fields) = decoder.fields(&entry.value, &keys::OPTION, &entry.key_span, what) else {
        return Body::default();
    };
    let words = OptionType::ALL.map(|kind| (kind.word(), kind));
    let kind = decoder
        .required(&fields, "type", "type: string")
        .filter(|entry| decoder.literal(&entry.value))
        .and_then(|entry| {
            decoder.word(&entry.value, &fields.of("type"), &words, keys::LATER_TYPES)
        });
    let mut setting = |key: &str| {
        let node = &fields.get(key)?.value;
        Some(decoder.setting(node, &fields.of(key), kind))
    };
    let mut body =
        Body { kind, default: setting("default"), min: setting("min"), max: setting("max") };
    if let Some(entry) = fields.get("description") {
        decoder.text(&entry.value, &fields.of("description"));
    }
    if !possible(decoder, &body, &entry.key) {
        body.min = None;
        body.max = None;
    }
    body
}

fn checked(decoder: &mut Decoder<'_, '_>, name: OptionName, span: Span, body: Body) -> Declaration {
    let Body { kind, default, min, max } = body;
    let mut declaration = Declaration { name, span, kind, default: None, min, max };
    declaration.default = default.map(|mut default| {
        let what = format!("the default of option `{}`", declaration.name);
        if let Some(value) = &default.value
            && !in_range(decoder, &declaration, value, &what, Some(&default.span))
        {
            default.value = None;
        }
        default
    });
    declaration
}

/// Whether the bounds leave any value.
fn possible(decoder: &mut Decoder<'_, '_>, declaration: &Body, name: &str) -> bool {
    let Some(kind) = declaration.kind else { return true };
    let bounds = [("min", &declaration.min), ("max", &declaration.max)];
    if matches!(kind, OptionType::String | OptionType::Boolean | OptionType::Url) {
        for (key, bound) in bounds {
            if let Some(bound) = bound {
                decoder.add(
                    Diagnostic::error(
                        codes::BAD_RANGE,
                        bound.span.clone(),
                        format!("option `{name}` has a `{key}`, and {kind}s have no order"),
                    )
                    .help(format!("remove `{key}`")),
                );
            }
        }
        return false;
    }
    if let (Some(min), Some(max)) = (&declaration.min, &declaration.max)
        && let (Some(low), Some(high)) = (&min.value, &max.value)
        && literal::larger(low, high)
    {
        decoder.add(
            Diagnostic::error(
                codes::BAD_RANGE,
                min.span.clone(),
                format!(
                    "option `{name}` has a `min` of {low}, which is larger than its `max` of {high}"
                ),
            )
            .label(max.span.clone(), "the `max`")
            .help("swap or correct them, so that a value can lie between"),
        );
        return false;
    }
    true
}

/// Checks `min` and `max`. A value from outside of the file is reported at the bound.
fn in_range(
    decoder: &mut Decoder<'_, '_>,
    declaration: &Declaration,
    value: &OptionValue,
    what: &str,
    span: Option<&Span>,
) -> bool {
    let bounds = [("at least", &declaration.min, true), ("at most", &declaration.max, false)];
    for (words, bound, low) in bounds {
        let Some(Setting { value: Some(limit), span: place }) = bound else { continue };
        let outside =
            if low { literal::larger(limit, value) } else { literal::larger(value, limit) };
        if limit.kind() != value.kind() || !outside {
            continue;
        }
        let message = format!("{what} is {value}, but must be {words} {limit}");
        let mut diagnostic =
            Diagnostic::error(codes::OPTION_OUT_OF_RANGE, span.unwrap_or(place).clone(), message)
                .help(format!("give a value of {words} {limit}, or change the bound"));
        if span.is_some() {
            diagnostic = diagnostic.label(place.clone(), "the bound");
        }
        decoder.add(diagnostic);
        return false;
    }
    true
}

/// Reads one `set` of a stack.
pub(crate) fn settings(
    decoder: &mut Decoder<'_, '_>,
    node: &Node,
    stack: &str,
    declarations: &[Declaration],
) -> BTreeMap<OptionName, Setting> {
    let mut all = BTreeMap::new();
    let Kind::Map(entries) = &node.kind else {
        let what = format!("`set` of stack `{stack}`");
        decoder.wrong_type(node, &what, "a map", Some("write `{ option: value }`".to_owned()));
        return all;
    };
    for entry in entries {
        let found = declarations.iter().find(|declaration| declaration.name.as_str() == entry.key);
        let Some(declaration) = found else {
            let message =
                format!("stack `{stack}` sets the option `{}`, which is not declared", entry.key);
            decoder.add(
                Diagnostic::error(codes::UNKNOWN_OPTION, entry.key_span.clone(), message)
                    .help_if(suggest_option(&entry.key, declarations)),
            );
            continue;
        };
        let what = format!("option `{}` in stack `{stack}`", entry.key);
        let mut setting = decoder.setting(&entry.value, &what, declaration.kind);
        if let Some(value) = &setting.value
            && !in_range(decoder, declaration, value, &what, Some(&setting.span))
        {
            setting.value = None;
        }
        all.insert(declaration.name.clone(), setting);
    }
    all
}

/// The nearest option, the list of them, or how to declare one.
pub(crate) fn suggest_option(name: &str, declarations: &[Declaration]) -> Option<String> {
    let names = declarations.iter().map(|declaration| declaration.name.as_str());
    suggest(name, names, "the options are")
        .or_else(|| Some(format!("declare it: `options: {{ {name}: {{ type: string }} }}`")))
}

/// The values before anybody sets them, only with their types.
pub(crate) fn unknown(declarations: &[Declaration]) -> Values {
    declarations
        .iter()
        .map(|declaration| {
            let current = Current {
                kind: declaration.kind,
                declared: declaration.span.clone(),
                origin: None,
                value: None,
                from: None,
                given: false,
            };
            (declaration.name.clone(), current)
        })
        .collect()
}

/// The values of a stack: defaults, then what its chain of stacks sets.
pub(crate) fn values<'s>(
    source: &SourceFile,
    declarations: &[Declaration],
    chain: impl Iterator<Item = (&'s str, &'s BTreeMap<OptionName, Setting>)>,
) -> Values {
    let mut values = unknown(declarations);
    let mut apply = |name: &OptionName, setting: &Setting, from: String| {
        if let Some(current) = values.get_mut(name) {
            current.given = true;
            current.origin = Some(setting.span.clone());
            current.value.clone_from(&setting.value);
            current.from = Some(Provenance { from, place: Some(source.place(setting.span.start)) });
        }
    };
    for declaration in declarations {
        if let Some(default) = &declaration.default {
            apply(&declaration.name, default, "default".to_owned());
        }
    }
    for (stack, set) in chain {
        for (name, setting) in set {
            apply(name, setting, format!("set by stack {stack}"));
        }
    }
    values
}

/// Puts values from outside of the file in place of the file's.
pub(crate) fn override_values(
    decoder: &mut Decoder<'_, '_>,
    values: &mut Values,
    declarations: &[Declaration],
    overrides: &Overrides,
    place: &Span,
) {
    let variables = overrides.environment.iter().filter_map(|(variable, text)| {
        let name = variable.strip_prefix(VARIABLE_PREFIX)?.to_ascii_lowercase();
        Some((
            name,
            text,
            format!("the variable `{variable}`"),
            format!("environment variable {variable}"),
        ))
    });
    let set = overrides
        .set
        .iter()
        .map(|(name, text)| (name.clone(), text, format!("`--set {name}`"), "--set".to_owned()));
    for (name, text, what, from) in variables.chain(set) {
        let found = declarations.iter().find(|declaration| declaration.name.as_str() == name);
        let Some(declaration) = found else {
            let message =
                format!("{what} gives the option `{name}`, which the file does not declare");
            decoder.add(
                Diagnostic::error(codes::UNKNOWN_OPTION, place.clone(), message)
                    .help_if(suggest_option(&name, declarations)),
            );
            continue;
        };
        let Some(current) = values.get_mut(&declaration.name) else { continue };
        current.given = true;
        current.origin = None;
        current.value = decoder.outside_value(declaration, text, &what);
        current.from = Some(Provenance { from, place: None });
    }
}

impl Decoder<'_, '_> {
    /// A value from outside of the file; problems are reported at the option's declaration.
    fn outside_value(
        &mut self,
        declaration: &Declaration,
        text: &str,
        what: &str,
    ) -> Option<OptionValue> {
        let kind = declaration.kind?;
        match literal::from_text(kind, text) {
            Ok(value) => in_range(self, declaration, &value, what, None).then_some(value),
            Err(help) => {
                self.add(
                    Diagnostic::error(
                        codes::OPTION_WRONG_TYPE,
                        declaration.span.clone(),
                        format!(
                            "{what} is `{text}`, and the option `{}` is {}",
                            declaration.name,
                            crate::decode::article(kind)
                        ),
                    )
                    .caret("declared here")
                    .help(help),
                );
                None
            }
        }
    }
}
