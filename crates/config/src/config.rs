//! The whole file: read once, checked for every stack, resolved for one.

use crate::check;
use crate::codes::{self, Code};
use crate::decode::{Decoder, Draft};
use crate::diagnostic::{Diagnostic, Diagnostics, Report};
use crate::files::Files;
use crate::keys;
use crate::nearest::suggest;
use crate::options::{self, Declaration, Overrides, Values};
use crate::overlay;
use crate::read;
use crate::resolve::{self, ClusterChoice, EngineChoice, Resolved};
use crate::source::SourceFile;
use crate::stacks::{self, Stack};
use crate::substitute::Substitution;
use crate::tree::{Kind, Node};
use landfall_model::{AppName, CertificateName, OptionName, StackName};
use std::collections::{BTreeSet, HashMap};

/// A file that is sound for all its stacks.
#[derive(Debug, Clone)]
pub struct Config {
    source: SourceFile,
    root: Node,
    app: AppName,
    declarations: Vec<Declaration>,
    stacks: Vec<Stack>,
    warnings: Diagnostics,
}

/// Reads and checks a whole file, for all of its stacks.
///
/// # Errors
/// Everything that is wrong in the file, in its order. Warnings alone are no error, see
/// [`Config::warnings`].
pub fn parse(source: &SourceFile) -> Result<Config, Diagnostics> {
    let mut report = Report::new(source);
    let Some(root) = read::read(&mut report) else { return Err(report.finish()) };
    let mut decoder = Decoder { report: &mut report };
    let app = head(&mut decoder, &root);
    let declarations = options::declarations(&mut decoder, &root);
    let stacks = stacks::read(&mut decoder, &root, &declarations);
    let config = |app, warnings| Config {
        source: source.clone(),
        root: root.clone(),
        app,
        declarations: declarations.clone(),
        stacks: stacks.clone(),
        warnings,
    };
    let file = Whole { source, root: &root, declarations: &declarations, stacks: &stacks };
    let usage = file.check(&mut report);
    let found = report.finish();
    match app {
        Some(app) if !found.has_errors() => {
            let mut report = Report::new(source);
            file.unused(&mut report, &usage);
            Ok(config(app, report.finish()))
        }
        _ => Err(found),
    }
}

/// The keys at the top, and the name of the application.
fn head(decoder: &mut Decoder<'_, '_>, root: &Node) -> Option<AppName> {
    let start = root.entries().first().map_or(0..0, |entry| entry.key_span.clone());
    let fields = decoder.fields(root, &keys::TOP, &start, "the file".to_owned())?;
    if let Some(entry) = decoder.required(&fields, "landfall", "landfall: v1")
        && decoder.literal(&entry.value)
        && let Some(version) = decoder.text(&entry.value, "`landfall`")
        && version != "v1"
    {
        decoder.add(
            Diagnostic::error(
                codes::UNKNOWN_FORMAT,
                entry.value.span.clone(),
                format!("`{version}` is not a version of the file format that is known here"),
            )
            .help("write `landfall: v1`; for a newer format install a newer Landfall"),
        );
    }
    if let Some(entry) = decoder.required(
        &fields,
        "services",
        "services: { web: { artifact: ./dist, command: [./program] } }",
    ) && matches!(&entry.value.kind, Kind::Map(entries) if entries.is_empty())
    {
        decoder.add(
            Diagnostic::error(
                codes::EMPTY,
                entry.key_span.clone(),
                "`services` is empty, so there is nothing to run",
            )
            .help(
                "name a service: `services: { web: { artifact: ./dist, command: [./program] } }`",
            ),
        );
    }
    let entry = decoder.required(&fields, "app", "app: shop")?;
    if !decoder.literal(&entry.value) {
        return None;
    }
    let name = decoder.name_text(&entry.value, "`app`")?;
    decoder.name(&name, &entry.value.span, "application")
}

impl Config {
    /// The application.
    #[must_use]
    pub fn app(&self) -> &AppName {
        &self.app
    }

    /// The stacks, in the order of the file.
    #[must_use]
    pub fn stacks(&self) -> Vec<&StackName> {
        self.stacks.iter().map(|stack| &stack.name).collect()
    }

    /// What runs a stack, which no option can change; nothing when there is no such stack.
    #[must_use]
    pub fn engine(&self, stack: &StackName) -> Option<EngineChoice> {
        self.find(stack).map(|stack| stacks::engine(&self.stacks, stack))
    }

    /// Where a stack of the engine `kubernetes` is.
    #[must_use]
    pub fn cluster(&self, stack: &StackName) -> ClusterChoice {
        let mut all = ClusterChoice::default();
        for stack in self.find(stack).into_iter().flat_map(|stack| self.chain(stack)) {
            let own = &stack.cluster;
            all.context = own.context.clone().or(all.context);
            all.kubeconfig = own.kubeconfig.clone().or(all.kubeconfig);
            all.namespace = own.namespace.clone().or(all.namespace);
            all.registry = own.registry.clone().or(all.registry);
        }
        all
    }

    fn find(&self, stack: &StackName) -> Option<&Stack> {
        self.stacks.iter().find(|known| known.name == *stack)
    }

    /// A stack and those it extends, from the farthest to itself.
    fn chain<'c>(&'c self, stack: &'c Stack) -> impl DoubleEndedIterator<Item = &'c Stack> {
        stack.chain.iter().map(|index| &self.stacks[*index])
    }

    /// What is odd, but no error.
    #[must_use]
    pub fn warnings(&self) -> &Diagnostics {
        &self.warnings
    }

    /// The text that this was read from, for [`Diagnostics::render`].
    #[must_use]
    pub fn source(&self) -> &SourceFile {
        &self.source
    }

    /// Resolves one stack: overlays, options, references, env_files.
    ///
    /// # Errors
    /// When there is no such stack, an option has no value or one that does not fit, an env_file
    /// cannot be read, or the values that were given make something in the file wrong. All of it
    /// at once.
    pub fn resolve(
        &self,
        stack: &StackName,
        overrides: &Overrides,
        files: &dyn Files,
    ) -> Result<Resolved, Diagnostics> {
        let mut report = Report::new(&self.source);
        let Some(stack) = self.find(stack) else {
            self.no_stack(&mut report, stack);
            return Err(report.finish());
        };
        let file = self.whole();
        let mut values = file.values(stack);
        let place = self.options_place();
        let mut decoder = Decoder { report: &mut report };
        options::override_values(&mut decoder, &mut values, &self.declarations, overrides, &place);
        let options = resolve::options(&mut report, &values, stack);
        let (mut draft, _) = file.draft(&mut report, stack, &values);
        resolve::read_env_files(&mut report, &mut draft, files);
        let found = report.finish();
        if found.has_errors() {
            return Err(found);
        }
        let mut parts = resolve::finish(draft).expect("what cannot be finished was reported");
        let confirm = self.chain(stack).rev().find_map(|stack| stack.confirm);
        let engine = stacks::engine(&self.stacks, stack);
        if engine == EngineChoice::Local {
            resolve::leave_out_cluster(&mut parts);
        }
        Ok(Resolved {
            app: self.app.clone(),
            stack: stack.name.clone(),
            engine,
            confirm: confirm.unwrap_or(false),
            options,
            services: parts.services,
            certificates: parts.certificates,
            listeners: parts.listeners,
            hooks: parts.hooks,
            rollout: parts.rollout,
        })
    }

    fn whole(&self) -> Whole<'_> {
        Whole {
            source: &self.source,
            root: &self.root,
            declarations: &self.declarations,
            stacks: &self.stacks,
        }
    }

    fn options_place(&self) -> std::ops::Range<usize> {
        let entry = self.root.get("options").or_else(|| self.root.get("app"));
        entry.map_or(0..0, |entry| entry.key_span.clone())
    }

    fn no_stack(&self, report: &mut Report<'_>, stack: &StackName) {
        let entry = self.root.get("stacks").or_else(|| self.root.get("app"));
        let place = entry.map_or(0..0, |entry| entry.key_span.clone());
        let names = self.stacks.iter().map(|known| known.name.as_str());
        report.add(
            Diagnostic::error(codes::UNKNOWN_STACK, place, format!("there is no stack `{stack}`"))
                .help_if(suggest(stack.as_str(), names, "the stacks are")),
        );
    }
}

/// The parts of a file that every check needs.
struct Whole<'c> {
    source: &'c SourceFile,
    root: &'c Node,
    declarations: &'c [Declaration],
    stacks: &'c [Stack],
}

/// What the stacks use.
#[derive(Default)]
struct Usage {
    options: BTreeSet<OptionName>,
    certificates: BTreeSet<CertificateName>,
}

impl Whole<'_> {
    fn values(&self, stack: &Stack) -> Values {
        let chain = stack.chain.iter().map(|index| &self.stacks[*index]);
        let chain = chain.map(|stack| (stack.name.as_str(), &stack.set));
        options::values(self.source, self.declarations, chain)
    }

    /// The tree of one stack, decoded and held against itself.
    fn draft(
        &self,
        report: &mut Report<'_>,
        stack: &Stack,
        values: &Values,
    ) -> (Draft, BTreeSet<OptionName>) {
        let mut tree = without_stacks(self.root);
        for index in &stack.chain {
            overlay::apply(report, &mut tree, &self.stacks[*index]);
        }
        let (draft, used) = decode(report, tree, values);
        check::cross(report, &draft);
        check::engine(report, &draft, stacks::engine(self.stacks, stack));
        (draft, used)
    }

    /// Checks what the file says itself, and what each stack makes of it.
    fn check(&self, report: &mut Report<'_>) -> Usage {
        let mut usage = Usage::default();
        let mut base = Report::new(self.source);
        let (_, used) =
            decode(&mut base, without_stacks(self.root), &options::unknown(self.declarations));
        usage.options.extend(used);
        let mut found = Found::default();
        for diagnostic in base.into_found() {
            if is_local(diagnostic.code) {
                found.add(diagnostic, None);
            }
        }
        for (index, stack) in self.stacks.iter().enumerate() {
            let mut own = Report::new(self.source);
            let (draft, used) = self.draft(&mut own, stack, &self.values(stack));
            usage.options.extend(used);
            for listener in draft.listeners.values().filter_map(|it| it.value.as_ref()) {
                usage.certificates.extend(listener.certificate.iter().map(|it| it.value.clone()));
            }
            for diagnostic in own.into_found() {
                found.add(diagnostic, Some(index));
            }
        }
        let section = self.root.get("stacks").map_or(0..0, |entry| entry.value.span.clone());
        for (mut diagnostic, stacks) in found.all {
            let names: Vec<&str> =
                stacks.iter().flatten().map(|index| self.stacks[*index].name.as_str()).collect();
            let visible = section.contains(&diagnostic.span.start);
            if !visible && !names.is_empty() && names.len() < self.stacks.len() {
                diagnostic.notes.push(match names[..] {
                    [name] => format!("this is so in stack `{name}`"),
                    _ => format!("this is so in the stacks {}", crate::nearest::list(&names)),
                });
            }
            report.add(diagnostic);
        }
        usage
    }

    /// Warns of what is declared and never used.
    fn unused(&self, report: &mut Report<'_>, usage: &Usage) {
        for declaration in self.declarations {
            if !usage.options.contains(&declaration.name) {
                report.add(
                    Diagnostic::warning(
                        codes::UNUSED_OPTION,
                        declaration.span.clone(),
                        format!("the option `{}` is never used", declaration.name),
                    )
                    .help(format!("use it as `${{options.{}}}`, or remove it", declaration.name)),
                );
            }
        }
        let declared = std::iter::once(self.root).chain(self.stacks.iter().map(|it| &it.node));
        for entry in declared.filter_map(|node| node.get("certificates")) {
            for entry in entry.value.entries().iter().filter(|entry| !entry.value.is_null()) {
                if !usage.certificates.iter().any(|name| name.as_str() == entry.key) {
                    report.add(
                        Diagnostic::warning(
                            codes::UNUSED_CERTIFICATE,
                            entry.key_span.clone(),
                            format!("the certificate `{}` is never used", entry.key),
                        )
                        .help("name it at a listener, as `certificate`, or remove it"),
                    );
                }
            }
        }
    }
}

/// The file without what only chooses among stacks.
fn without_stacks(root: &Node) -> Node {
    let entries = root.entries().iter().filter(|entry| {
        ["services", "listeners", "certificates", "hooks", "rollout"].contains(&entry.key.as_str())
    });
    Node { span: root.span.clone(), kind: Kind::Map(entries.cloned().collect()) }
}

fn decode(
    report: &mut Report<'_>,
    mut tree: Node,
    values: &Values,
) -> (Draft, BTreeSet<OptionName>) {
    let mut substitution = Substitution { values, report, used: BTreeSet::new() };
    substitution.apply(&mut tree);
    let used = substitution.used;
    (Decoder { report }.draft(&tree), used)
}

/// Whether a finding in the file stays true whatever a stack lays over it.
fn is_local(code: Code) -> bool {
    ![codes::MISSING_KEY, codes::EXCLUSIVE, codes::NOT_HERE, codes::IMPOSSIBLE_DURATION]
        .contains(&code)
}

/// Findings of several passes, each once, with the stacks it was found in.
#[derive(Default)]
struct Found {
    all: Vec<(Diagnostic, Option<Vec<usize>>)>,
    index: HashMap<(Code, usize, String), usize>,
}

impl Found {
    /// Adds a finding of a stack, or of the file itself.
    fn add(&mut self, diagnostic: Diagnostic, stack: Option<usize>) {
        let key = (diagnostic.code, diagnostic.span.start, diagnostic.message.clone());
        match self.index.get(&key) {
            None => {
                self.index.insert(key, self.all.len());
                self.all.push((diagnostic, stack.map(|stack| vec![stack])));
            }
            Some(position) => {
                if let (Some(stacks), Some(stack)) = (&mut self.all[*position].1, stack) {
                    stacks.push(stack);
                }
            }
        }
    }
}
