//! Random workflows, run by the engine and by a small model of it, must come to the same:
//! when nothing happens, and when the host dies after every commit.

mod model;
mod plan;
mod plugin;

use std::{
    cell::Cell,
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
    time::Duration,
};

use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use serde_json::{Value, json};
use tokio::time::{interval, timeout};

use super::{ResumeRequest, StartRequest, WorkflowSettings, Workflows};
use crate::{
    engine::Engine,
    engine::Holder,
    memory::semantic::RecallSettings,
    model::catalog::Models,
    observe::Recorder,
    plugin::{
        generation::{Generation, Identity},
        registry::{Offer, Offers, Registry},
    },
    store::{Store, StoreSettings},
    tasks::Tasks,
    types::run::RunStatus,
};
use model::{End, Model, Seen};
use plan::Plan;
use plugin::{Opened, Plugin};

const LEASE: Duration = Duration::from_secs(60);
const OWNER: &str = "host";
/// How long a run may take to end or to stop answering.
const LIMIT: Duration = Duration::from_secs(20);
/// Hosts one run may outlive: more than any of these has commits.
const HOSTS: usize = 500;

/// What happens to the host while a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Lives,
    /// It is replaced by another one after each commit.
    DiesAfterEachCommit,
}

/// A host's part that runs workflows, with nothing but a store to remember by.
struct Host {
    workflows: Workflows,
    plugin: Arc<Plugin>,
    tasks: Tasks,
}

impl Host {
    fn start(plan: &Plan, store: &Store) -> Self {
        Self::named(OWNER, plan, store)
    }

    fn named(owner: &str, plan: &Plan, store: &Store) -> Self {
        let plugin = Arc::new(Plugin::new(plan, store.clone()));
        let identity = Identity {
            plugin: "random".into(),
            number: 1,
            hash: "".into(),
            file: "random.so".into(),
            size: 0,
            manifest: Arc::new(serde_json::from_value(plan.manifest()).unwrap()),
        };
        let generation = Generation::with_instance(identity, Arc::new(Opened(Arc::clone(&plugin))));
        let registry = Arc::new(Registry::default());
        Offers::default().put(&registry, &"random".into(), Offer::new(&generation).unwrap()).unwrap();
        let tasks = Tasks::default();
        let models = Arc::new(Models::new(BTreeMap::new(), |_| None));
        let holder = Holder { owner: owner.to_owned(), lease: LEASE };
        let recall = RecallSettings::default();
        let engine = Engine::new(registry, models, store.clone(), recall, tasks.clone(), holder, Recorder::off());
        let settings = WorkflowSettings {
            owner: owner.to_owned(),
            lease: LEASE,
            cancel_grace: LIMIT,
            concurrency: HashMap::new(),
        };
        let workflows = Workflows::new(engine, store, tasks.clone(), settings);
        Self { workflows, plugin, tasks }
    }

    /// Waits until the host drives nothing any more; `false` if its plugin fell silent before.
    async fn is_over(&self) -> Result<bool, TestCaseError> {
        let mut ticks = interval(Duration::from_millis(1));
        let over = async {
            loop {
                ticks.tick().await;
                if self.workflows.active().is_empty() {
                    return;
                }
            }
        };
        let over = async {
            tokio::select! {
                biased;
                () = over => true,
                () = self.plugin.silent.notified() => false,
            }
        };
        timeout(LIMIT, over).await.map_err(|_| TestCaseError::fail("the run neither ends nor waits"))
    }

    /// Dies, and lets another host take its place.
    async fn replace(self, plan: &Plan, store: &Store, run_id: &str) -> Self {
        self.tasks.shut_down(Duration::ZERO).await;
        let records = store.runs().records(run_id).await.unwrap();
        let done = records.into_iter().filter(|(_, record)| record.status.as_str() == "success");
        let host = Self::start(plan, store);
        host.plugin.must_not_repeat(done.map(|(path, _)| path));
        host.workflows.release().await.unwrap();
        host.workflows.take_up_abandoned().await.unwrap();
        host.plugin.fall_silent_after(1);
        host
    }
}

/// What runs went through: nothing is shown by those to which nothing happened.
#[derive(Debug, Default)]
struct Tally {
    answers: Cell<usize>,
    hosts: Cell<usize>,
}

/// Runs a plan to its end, answering what asks, and holds it against the model.
async fn check(plan: &Plan, store: &Store, fate: Fate, tally: &Tally) -> Result<(), TestCaseError> {
    let run_id = crate::types::id::fresh();
    let mut host = Host::start(plan, store);
    let request = StartRequest {
        workflow_id: "root".to_owned(),
        run_id: Some(run_id.clone()),
        input: Some(json!(1)),
        ..StartRequest::default()
    };
    host.workflows.start(request).await.unwrap();
    if fate == Fate::DiesAfterEachCommit {
        host.plugin.fall_silent_after(0);
    }
    let mut answers: BTreeMap<String, Value> = BTreeMap::new();
    let mut choices = plan.choices.iter().cycle();
    loop {
        let mut hosts = 0;
        while !host.is_over().await? {
            host = host.replace(plan, store, &run_id).await;
            hosts += 1;
            proptest::prop_assert!(hosts < HOSTS, "the run never ends");
        }
        tally.hosts.update(|before| before + hosts);
        let repeated = host.plugin.repeated.lock().unwrap().clone();
        proptest::prop_assert!(repeated.is_empty(), "called though their results were stored: {repeated:?}");
        let (end, model) = Model::run(&plan.nodes, json!(1), &answers);
        compare(&host, &run_id, &end, &model).await?;
        if fate == Fate::Lives {
            proptest::prop_assert_eq!(&code_calls(&host.plugin.calls(), &model), &model.calls, "calls");
        }
        if end != End::Waits {
            return Ok(());
        }
        let choice = choices.next().unwrap() % model.waiting.len();
        let chosen = &model.waiting[choice];
        let answer = json!(answers.len());
        let request = ResumeRequest {
            workflow_id: "root".to_owned(),
            run_id: run_id.clone(),
            step: Some(chosen.step.clone()),
            item: chosen.item,
            data: Some(answer.clone()),
            ..ResumeRequest::default()
        };
        answers.insert(chosen.path.clone(), answer);
        tally.answers.update(|before| before + 1);
        let resumed = host.workflows.resume(request).await;
        proptest::prop_assert!(resumed.is_ok(), "{chosen:?} cannot be answered: {:?}", resumed.err());
        if fate == Fate::DiesAfterEachCommit {
            host.plugin.fall_silent_after(0);
        }
    }
}

/// Calls of steps, tools and maps: of conditions the model counts none.
fn code_calls(calls: &BTreeMap<String, u32>, model: &Model<'_>) -> BTreeMap<String, u32> {
    calls
        .iter()
        .filter(|(path, _)| model.seen.contains_key(*path))
        .map(|(path, calls)| (path.clone(), *calls))
        .collect()
}

/// Holds what is stored of a run against the model.
async fn compare(host: &Host, run_id: &str, end: &End, model: &Model<'_>) -> Result<(), TestCaseError> {
    let view = host.workflows.view("root", run_id).await.unwrap();
    let outcome = &view.row.outcome;
    let (status, found) = match end {
        End::Done(value) | End::Bailed(value) => (RunStatus::Success, outcome.result.as_ref() == Some(value)),
        End::Failed(message) => {
            (RunStatus::Failed, outcome.error.as_ref().is_some_and(|error| error.message == *message))
        }
        End::Tripped(reason) => (RunStatus::Tripwire, outcome.tripwire.as_ref() == Some(reason)),
        End::Waits => (RunStatus::Suspended, outcome.result.is_none() && outcome.error.is_none()),
    };
    proptest::prop_assert_eq!(view.row.status, status, "{:?} instead of {:?}", outcome, end);
    proptest::prop_assert!(found, "{outcome:?} instead of {end:?}");
    let mut seen = BTreeMap::new();
    for (path, record) in view.records.iter().filter(|(_, record)| !record.hidden) {
        let expected = model.seen.get(path);
        seen.insert(
            path.clone(),
            Seen {
                // Maps and waits are known by names their authors did not give.
                step: if expected.is_some_and(|it| it.step.is_empty()) { String::new() } else { record.step.clone() },
                status: record.status.as_str(),
                output: record.output.clone(),
                attempts: expected.is_some_and(|it| it.attempts.is_some()).then_some(record.attempt),
            },
        );
    }
    proptest::prop_assert_eq!(&seen, &model.seen, "records");
    Ok(())
}

/// Runs random plans, so many, on a store of their own.
///
/// `PROPTEST_CASES=2560` makes ten times as many, `PROPTEST_RNG_SEED` those of a failure.
fn check_all(cases: u32, fate: Fate) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Nothing here depends on the disk, and in memory its latency is not waited for.
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let directory = tempfile::tempdir_in(place).unwrap();
    let settings = StoreSettings { data: directory.path().to_owned(), url: None, fault: None };
    let tasks = Tasks::default();
    let store = runtime.block_on(async {
        let (store, writer) = Store::open(&settings).await.unwrap();
        tasks.spawn("store", |cancel| writer.unwrap().run(cancel));
        store
    });
    let wanted = Config::default();
    let seed = match wanted.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => fastrand::u64(..),
    };
    let config = Config {
        cases: cases * wanted.cases / 256,
        failure_persistence: None,
        max_shrink_iters: 300,
        max_shrink_time: 15_000,
        rng_seed: RngSeed::Fixed(seed),
        ..wanted
    };
    let tally = Tally::default();
    let run = |plan: Plan| runtime.block_on(check(&plan, &store, fate, &tally));
    if let Err(failure) = TestRunner::new(config).run(&plan::plan(), run) {
        panic!("PROPTEST_RNG_SEED={seed}, {fate:?}: {failure}");
    }
    let (answers, hosts) = (tally.answers.get(), tally.hosts.get());
    assert!(answers > 10, "steps were answered {answers} times only");
    assert!(fate == Fate::Lives || hosts > 100, "hosts died {hosts} times only");
    runtime.block_on(async {
        tasks.shut_down(LIMIT).await;
        store.close().await;
    });
}

#[test]
fn random_workflows_come_to_what_the_model_says() {
    check_all(300, Fate::Lives);
}

#[test]
fn random_workflows_come_to_the_same_when_hosts_die_after_every_commit() {
    check_all(120, Fate::DiesAfterEachCommit);
}

/// Begins a run that gets no answer from its plugin.
async fn begin_silent(host: &Host, run_id: &str) {
    host.plugin.fall_silent_after(0);
    let request = StartRequest {
        workflow_id: "root".to_owned(),
        run_id: Some(run_id.to_owned()),
        input: Some(json!(1)),
        ..StartRequest::default()
    };
    host.workflows.start(request).await.unwrap();
    timeout(LIMIT, host.plugin.silent.notified()).await.unwrap();
}

#[tokio::test]
async fn a_keeper_that_comes_late_takes_up_others_runs_and_leaves_its_hosts_own() {
    let directory = tempfile::tempdir().unwrap();
    let settings = StoreSettings { data: directory.path().to_owned(), url: None, fault: None };
    let tasks = Tasks::default();
    let (store, writer) = Store::open(&settings).await.unwrap();
    tasks.spawn("store", |cancel| writer.unwrap().run(cancel));
    let node = plan::Node { id: "n1".to_owned(), kind: plan::Kind::Step { does: plan::Does::Give, retries: 0 } };
    let plan = Plan { nodes: vec![node], choices: vec![0] };

    let dead = Host::named("dead", &plan, &store);
    begin_silent(&dead, "abandoned").await;
    dead.tasks.shut_down(Duration::ZERO).await;
    dead.workflows.release().await.unwrap();
    let host = Host::start(&plan, &store);
    begin_silent(&host, "own").await;
    let keeper = host.workflows.clone();
    host.tasks.spawn("keeper", |cancel| keeper.keep(cancel));
    // It has looked for what nobody drives.
    timeout(LIMIT, host.plugin.silent.notified()).await.unwrap();

    let row = async |run_id| host.workflows.view("root", run_id).await.unwrap().row;
    assert_eq!(row("abandoned").await.owner, OWNER);
    let own = row("own").await;
    assert_eq!(own.owner, OWNER);
    assert!(own.lease_until > 0, "any host may take it up");
    host.tasks.shut_down(Duration::ZERO).await;
    tasks.shut_down(LIMIT).await;
    store.close().await;
}
