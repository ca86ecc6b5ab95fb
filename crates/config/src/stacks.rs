//! Stacks: what each says, and the chain of stacks that it extends.

use crate::codes;
use crate::decode::{At, Decoder, Fields};
use crate::diagnostic::Diagnostic;
use crate::keys;
use crate::nearest::suggest;
use crate::options::{self, Declaration, Setting};
use crate::resolve::{ClusterChoice, EngineChoice};
use crate::source::Span;
use crate::tree::{Entry, Kind, Node};
use landfall_model::{OptionName, StackName};
use std::collections::BTreeMap;

/// More stacks than this are not one application's.
const MOST: usize = 64;

/// One stack as the file says it.
#[derive(Debug, Clone)]
pub(crate) struct Stack {
    pub(crate) name: StackName,
    pub(crate) span: Span,
    pub(crate) node: Node,
    pub(crate) engine: Option<EngineChoice>,
    pub(crate) cluster: ClusterChoice,
    pub(crate) confirm: Option<bool>,
    pub(crate) set: BTreeMap<OptionName, Setting>,
    extends: Option<At<String>>,
    /// The stacks whose changes apply, from the farthest to itself, as positions in the list.
    pub(crate) chain: Vec<usize>,
}

/// Reads `stacks`. Without the key there is one stack, `local`.
pub(crate) fn read(
    decoder: &mut Decoder<'_, '_>,
    root: &Node,
    declarations: &[Declaration],
) -> Vec<Stack> {
    let mut all = Vec::new();
    match root.get("stacks").filter(|entry| !entry.value.is_null()) {
        None => all.push(only_local(root)),
        Some(entry) => {
            let entries = decoder.map_of(entry, "stack").unwrap_or_default();
            if entry.value.entries().is_empty() && matches!(entry.value.kind, Kind::Map(_)) {
                decoder.add(
                    Diagnostic::error(
                        codes::EMPTY,
                        entry.key_span.clone(),
                        "`stacks` is empty, so there is nowhere to run",
                    )
                    .help("remove the key for one stack `local`, or name one: `stacks: { local: {} }`"),
                );
            }
            if entries.len() > MOST {
                let message = format!(
                    "the file has {} stacks, and at most {MOST} are possible",
                    entries.len()
                );
                decoder.add(
                    Diagnostic::error(codes::OUT_OF_RANGE, entry.key_span.clone(), message)
                        .help("split the application, or use options instead of stacks"),
                );
            }
            for entry in entries.iter().take(MOST) {
                all.extend(stack(decoder, entry, declarations));
            }
        }
    }
    link(decoder, &mut all);
    all
}

fn only_local(root: &Node) -> Stack {
    let span = root.span.start..root.span.start;
    Stack {
        name: StackName::new("local").expect("a constant name is a name"),
        node: Node { span: span.clone(), kind: Kind::Map(Vec::new()) },
        span,
        engine: None,
        cluster: ClusterChoice::default(),
        confirm: None,
        set: BTreeMap::new(),
        extends: None,
        chain: Vec::new(),
    }
}

fn stack(
    decoder: &mut Decoder<'_, '_>,
    entry: &Entry,
    declarations: &[Declaration],
) -> Option<Stack> {
    let name = decoder.name::<StackName>(&entry.key, &entry.key_span, "stack");
    if entry.value.is_null() {
        decoder.add(
            Diagnostic::error(
                codes::NO_VALUE,
                entry.key_span.clone(),
                format!("stack `{}` has no value", entry.key),
            )
            .help(format!("write `{}: {{}}` for a stack that changes nothing", entry.key)),
        );
        return None;
    }
    let what = format!("stack `{}`", entry.key);
    let fields = decoder.fields(&entry.value, &keys::STACK, &entry.key_span, what)?;
    let mut literal = |key: &str| fields.get(key).filter(|entry| decoder.literal(&entry.value));
    let cluster = ["context", "kubeconfig", "namespace", "registry"].map(&mut literal);
    let (engine, extends, confirm) = (literal("engine"), literal("extends"), literal("confirm"));
    let engines = [("local", EngineChoice::Local), ("kubernetes", EngineChoice::Kubernetes)];
    let engine =
        engine.and_then(|entry| decoder.word(&entry.value, &fields.of("engine"), &engines, &[]));
    let cluster = cluster_choice(decoder, &fields, cluster);
    let extends = extends.and_then(|entry| {
        let value = decoder.name_text(&entry.value, &fields.of("extends"))?;
        Some(At { value, span: entry.value.span.clone() })
    });
    let confirm = confirm.and_then(|entry| decoder.boolean(&entry.value, &fields.of("confirm")));
    let set = fields
        .get("set")
        .map(|set| options::settings(decoder, &set.value, &entry.key, declarations))
        .unwrap_or_default();
    changed_services(decoder, &fields, &entry.key);
    Some(Stack {
        name: name?,
        span: entry.key_span.clone(),
        node: entry.value.clone(),
        engine,
        cluster,
        confirm,
        set,
        extends,
        chain: Vec::new(),
    })
}

/// What runs a stack: what it says itself, or the nearest one that it extends.
pub(crate) fn engine(all: &[Stack], stack: &Stack) -> EngineChoice {
    let said = stack.chain.iter().rev().find_map(|index| all[*index].engine);
    said.unwrap_or(EngineChoice::Local)
}

fn cluster_choice(
    decoder: &mut Decoder<'_, '_>,
    fields: &Fields<'_>,
    [context, kubeconfig, namespace, registry]: [Option<&Entry>; 4],
) -> ClusterChoice {
    let mut text = |entry: Option<&Entry>, key: &str| {
        entry.and_then(|entry| decoder.full_text(&entry.value, &fields.of(key)))
    };
    let (context, kubeconfig) = (text(context, "context"), text(kubeconfig, "kubeconfig"));
    let (named, registry) = (text(namespace, "namespace"), text(registry, "registry"));
    if let (Some(name), Some(entry)) = (&named, namespace)
        && !is_namespace(name)
    {
        let message = format!("{} is `{name}`, which is no namespace", fields.of("namespace"));
        decoder.add(
            Diagnostic::error(codes::BAD_NAMESPACE, entry.value.span.clone(), message)
                .help("use up to 63 lower-case letters, digits and `-`"),
        );
    }
    ClusterChoice { context, kubeconfig, namespace: named, registry }
}

/// Whether Kubernetes takes it as the name of a namespace.
fn is_namespace(text: &str) -> bool {
    let fine = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(fine)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Checks which keys of services a stack changes; what they hold is checked after the overlay.
fn changed_services(decoder: &mut Decoder<'_, '_>, fields: &Fields<'_>, stack: &str) {
    let Some(services) = fields.get("services") else { return };
    for entry in decoder.map_of(services, "service").unwrap_or_default() {
        let what = format!("service `{}` of stack `{stack}`", entry.key);
        let Kind::Map(entries) = &entry.value.kind else {
            let help = "write the changes, like `{ replicas: 4 }`; a stack cannot take a service away, but it can have `replicas: 0`";
            decoder.wrong_type(&entry.value, &what, "a map", Some(help.to_owned()));
            continue;
        };
        for entry in entries {
            let key = &entry.key;
            if keys::SERVICE.names().any(|name| name == key)
                && !keys::STACK_SERVICE.names().any(|name| name == key)
            {
                let message = format!("a stack cannot change `{key}` of a service");
                let help = "it can change `replicas`, `env` and `resources`; for anything else use an option: `${options.name}`";
                decoder.not_here(entry, message, help);
            } else {
                decoder.known(entry, &keys::STACK_SERVICE, &what);
            }
        }
    }
}

/// Follows `extends` from each stack, and reports stacks that are missing or go in a circle.
fn link(decoder: &mut Decoder<'_, '_>, all: &mut [Stack]) {
    let parents: Vec<Option<usize>> = all.iter().map(|stack| parent(decoder, stack, all)).collect();
    let mut in_circle = vec![false; all.len()];
    for index in 0..all.len() {
        let mut chain = vec![index];
        let mut at = index;
        while let Some(next) = parents[at] {
            if let Some(start) = chain.iter().position(|seen| *seen == next) {
                circle(decoder, all, &chain[start..], &mut in_circle);
                break;
            }
            chain.push(next);
            at = next;
        }
        chain.reverse();
        all[index].chain = chain;
    }
}

fn parent(decoder: &mut Decoder<'_, '_>, stack: &Stack, all: &[Stack]) -> Option<usize> {
    let extends = stack.extends.as_ref()?;
    let found = all.iter().position(|other| other.name.as_str() == extends.value);
    if found.is_none() {
        let names =
            all.iter().map(|other| other.name.as_str()).filter(|name| *name != stack.name.as_str());
        decoder.add(
            Diagnostic::error(
                codes::UNKNOWN_STACK,
                extends.span.clone(),
                format!("stack `{}` extends `{}`, which is not a stack", stack.name, extends.value),
            )
            .help_if(suggest(&extends.value, names, "the other stacks are")),
        );
    }
    found
}

fn circle(decoder: &mut Decoder<'_, '_>, all: &[Stack], members: &[usize], in_circle: &mut [bool]) {
    if members.iter().any(|member| in_circle[*member]) {
        return;
    }
    let mut names: Vec<String> =
        members.iter().map(|member| format!("`{}`", all[*member].name)).collect();
    names.push(names[0].clone());
    let place = |member: usize| all[member].extends.as_ref().map(|extends| extends.span.clone());
    let Some(first) = place(members[0]) else { return };
    let message = match members {
        [only] => format!("stack `{}` extends itself", all[*only].name),
        _ => format!("stacks extend each other in a circle: {}", names.join(" → ")),
    };
    let mut diagnostic = Diagnostic::error(codes::EXTENDS_CYCLE, first, message)
        .help("remove one `extends`, so that the chain ends");
    for member in &members[1..] {
        diagnostic = diagnostic.label_if(place(*member), "and here");
    }
    decoder.add(diagnostic);
    for member in members {
        in_circle[*member] = true;
    }
}
