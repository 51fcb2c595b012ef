//! The workers, from start to stop, and through changes of the configuration.
//!
//! Each plan has workers of its own; all workers of the daemon share the clusters'
//! last good answers, and one clock. When
//! the configuration changes, those whose addresses stay get the new plan;
//! others answer what is in flight and end. The sockets of addresses that stay
//! are handed on with all that waits in them, whoever serves them then.

use super::alarm::Alarm;
use super::leave::Place;
use super::life::{self, Order, Stage};
use super::limits::ConnectionLimits;
use super::proven::Proven;
use super::pulse::Pulse;
use super::roster::Roster;
use super::sockets::{self, Entrance, Listener, Opened, Service};
use super::worker::Served;
use super::{CannotRun, files, fresh_seed, leave};
use crate::config::Plan;
use crate::engine::{Common, LastGood, Secrets};
use crate::tap::{TapCounts, Taps};
use crate::tell::Desk;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tracing::Level;

/// The workers of one plan.
struct Group {
    plan: Arc<Plan>,
    /// Where it is served; ports the system picked are filled in.
    places: Vec<(SocketAddr, Service)>,
    /// Those of them whose sockets are somebody else's too.
    handed: Vec<(SocketAddr, Service)>,
    stage: watch::Sender<Stage>,
    /// Each worker's sockets, to be handed on.
    sockets: Vec<Vec<(SocketAddr, Opened)>>,
    /// How each worker is told things.
    orders: Vec<mpsc::UnboundedSender<Order>>,
    /// What the workers are called.
    numbers: Vec<usize>,
    workers: Vec<JoinHandle<()>>,
}

/// A daemon whose workers are running.
pub struct Running {
    groups: Vec<Group>,
    /// Those that have been told to end.
    ending: Vec<Group>,
    limits: Arc<ConnectionLimits>,
    proven: Arc<Proven>,
    common: Common,
    epoch: Instant,
    roster: Roster,
    entrance: Entrance,
    /// Others may be leaving ports that are shared with them.
    shared: bool,
    end: mpsc::UnboundedSender<CannotRun>,
    pub(super) ended: mpsc::UnboundedReceiver<CannotRun>,
    started: usize,
    /// Their last words are told, so they end before the desk does.
    taps: Taps,
    desk: Desk,
}

/// Two plans that the same sockets can serve.
fn same_sockets(a: &Plan, b: &Plan) -> bool {
    let places = |plan: &Plan| sockets::places(&plan.settings);
    places(a) == places(b) && a.settings.workers == b.settings.workers
}

fn places(plans: &[Served]) -> Vec<(SocketAddr, Service)> {
    plans.iter().flat_map(|served| sockets::places(&served.plan.settings)).collect()
}

fn fresh_common() -> Result<Common, CannotRun> {
    let mut secrets = Secrets { shown: [0; 16], given: [0; 16] };
    secrets.shown.copy_from_slice(&fresh_seed()?[..16]);
    secrets.given.copy_from_slice(&fresh_seed()?[..16]);
    // A clock that is behind 1970 only makes cookies of little use.
    let unix = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    Ok(Common { secrets, unix, last_good: LastGood::new(fresh_seed()?) })
}

impl Running {
    /// Binds every listener, or takes it as it is given, and starts the workers.
    pub fn start(plans: &[Served], entrance: Entrance) -> Result<Self, CannotRun> {
        entrance.handed.are_used(&places(plans))?;
        let (end, ended) = mpsc::unbounded_channel();
        let limits = Arc::new(ConnectionLimits::new(files::left_for_clients(plans)));
        let (common, epoch) = (fresh_common()?, Instant::now());
        let proven = Arc::default();
        let (groups, ending, roster) = (Vec::new(), Vec::new(), Roster::default());
        let shared = entrance.take_over;
        let desk = Desk::open().map_err(CannotRun::start)?;
        let taps = Taps::new(desk.reporter().clone());
        let mut running = Running {
            groups,
            ending,
            limits,
            proven,
            common,
            epoch,
            roster,
            desk,
            taps,
            entrance,
            shared,
            end,
            ended,
            started: 0,
        };
        let mut bound = Vec::new();
        for served in plans {
            let (entrance, reporter) = (&running.entrance, running.desk.reporter());
            bound.push(sockets::bind_all(&served.plan.settings, entrance, &[], reporter)?);
        }
        for (served, listeners) in plans.iter().zip(&bound) {
            let group = running.group(served, listeners)?;
            running.groups.push(group);
        }
        running.enrol();
        Ok(running)
    }

    /// Through which the workers can be asked how they are, whatever becomes of
    /// the configuration.
    pub fn roster(&self) -> Roster {
        self.roster.clone()
    }

    /// Who tells of what happens.
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    /// What is counted of the query log and of dnstap.
    pub fn tap_counts(&self) -> TapCounts {
        self.taps.counts()
    }

    /// The same with the taps that its settings ask for.
    fn tapped(&mut self, served: &Served) -> Served {
        Served { taps: self.taps.handles(&served.plan.settings), ..served.clone() }
    }

    fn enrol(&self) {
        let workers = self.groups.iter().map(|group| group.orders.clone()).collect();
        let places = self.groups.iter().flat_map(|group| group.places.clone()).collect();
        self.roster.set(workers, places);
        let groups = self.groups.iter();
        let plans = groups.map(|group| (group.numbers.clone(), group.plan.clone())).collect();
        self.desk.reporter().serving(plans);
    }

    /// The plans that are served, with the ports that the system picked.
    pub fn plans(&self) -> Vec<Plan> {
        let plans = self.groups.iter().map(|group| {
            let of = |wanted| {
                let places = group.places.iter().filter(move |(_, service)| *service == wanted);
                places.map(|(addr, _)| *addr).collect()
            };
            let mut plan = Plan::clone(&group.plan);
            plan.settings.listen = of(Service::Plain);
            plan.settings.listen_tls = of(Service::Tls);
            plan
        });
        plans.collect()
    }

    /// Serves other plans from now on. If new addresses cannot be listened on,
    /// everything stays as it is.
    pub fn reload(&mut self, plans: &[Served]) -> Result<(), CannotRun> {
        self.entrance.handed.are_used(&places(plans))?;
        // Addresses that another set of workers will share are ours already.
        let held = self.groups.iter().flat_map(|group| &group.places);
        let held: Vec<(SocketAddr, Service)> = held.copied().collect();
        let mut bound = Vec::new();
        for Served { plan, .. } in plans {
            let stays = self.groups.iter().any(|group| same_sockets(&group.plan, plan));
            let reporter = self.desk.reporter();
            let bind = || sockets::bind_all(&plan.settings, &self.entrance, &held, reporter);
            let listeners = (!stays).then(bind).transpose()?;
            bound.push(listeners);
        }
        // All that can fail comes first: workers that are dropped would end.
        let mut fresh = Vec::new();
        for (served, listeners) in plans.iter().zip(bound) {
            fresh.push(listeners.map(|listeners| self.group(served, &listeners)).transpose()?);
        }
        let mut groups = Vec::new();
        for (served, fresh) in plans.iter().zip(fresh) {
            let plan = &served.plan;
            let place = self.groups.iter().position(|group| same_sockets(&group.plan, plan));
            match (fresh, place) {
                (Some(group), _) => groups.push(group),
                (None, Some(place)) => {
                    let mut group = self.groups.swap_remove(place);
                    group.plan = plan.clone();
                    let tapped = self.tapped(served);
                    for worker in &group.orders {
                        // One that has ended has reported it.
                        let _ = worker.send(Order::Serve(tapped.clone()));
                    }
                    groups.push(group);
                }
                // No two plans have the same addresses.
                (None, None) => {}
            }
        }
        for mut gone in std::mem::replace(&mut self.groups, groups) {
            gone.sockets.clear();
            let _ = gone.stage.send(Stage::Stop);
            self.ending.push(gone);
        }
        self.taps.keep(self.groups.iter().map(|group| &group.plan.settings));
        self.ending.retain(|group| group.workers.iter().any(|worker| !worker.is_finished()));
        self.enrol();
        self.shared = self.entrance.take_over;
        Ok(())
    }

    fn group(&mut self, served: &Served, listeners: &[Listener]) -> Result<Group, CannotRun> {
        let plan = &served.plan;
        let (stage, stages) = watch::channel(Stage::Serve);
        let handed = listeners.iter().filter(|bound| bound.is_handed());
        let mut group = Group {
            plan: plan.clone(),
            places: listeners.iter().map(|bound| (bound.addr, bound.service)).collect(),
            handed: handed.map(|bound| (bound.addr, bound.service)).collect(),
            stage,
            sockets: Vec::new(),
            orders: Vec::new(),
            numbers: Vec::new(),
            workers: Vec::new(),
        };
        let tapped = self.tapped(served);
        let (begun, failed) = std::sync::mpsc::channel();
        for n in 0..plan.settings.workers.get() {
            let own = self.sockets(n, listeners)?;
            let opened = own.iter().map(|(_, opened)| opened.try_clone());
            let opened = opened.collect::<Result<_, _>>().map_err(CannotRun::start)?;
            group.sockets.push(own);
            let number = self.started;
            let (sender, orders) = mpsc::unbounded_channel();
            let birth = life::Birth {
                number,
                served: tapped.clone(),
                seed: fresh_seed()?,
                common: self.common.clone(),
                epoch: self.epoch,
                reporter: self.desk.reporter().of(number),
                listeners: opened,
                orders,
                stages: stages.clone(),
                limits: self.limits.clone(),
                proven: self.proven.clone(),
                alarm: Alarm::new(self.end.clone(), number),
            };
            let guard = birth.alarm.guard();
            let thread = std::thread::Builder::new().name(format!("worker-{number}"));
            let begun = begun.clone();
            let started = thread.spawn(move || {
                let _guard = guard;
                let life = life::begin(birth).map_err(|error| begun.send(error));
                // Whoever starts us waits until nobody can say more.
                drop(begun);
                if let Ok(life) = life {
                    life.run();
                }
            });
            self.started += 1;
            group.workers.push(started.map_err(CannotRun::start)?);
            group.orders.push(sender);
            group.numbers.push(number);
        }
        drop(begun);
        match failed.recv() {
            Ok(error) => Err(CannotRun::start(error)),
            Err(_) => Ok(group),
        }
    }

    /// The sockets of worker `n`: those that worker `n` of another group has, and
    /// new ones for the rest.
    fn sockets(
        &self,
        n: usize,
        listeners: &[Listener],
    ) -> Result<Vec<(SocketAddr, Opened)>, CannotRun> {
        let held = self.groups.iter().filter_map(|group| group.sockets.get(n)).flatten();
        let held: Vec<&(SocketAddr, Opened)> = held.collect();
        let mut own = Vec::new();
        for listener in listeners {
            let same = |(addr, opened): &&&(SocketAddr, Opened)| {
                *addr == listener.addr && opened.service == listener.service
            };
            let again = held.iter().filter(same).map(|(_, opened)| opened.try_clone());
            let mut opened = again.collect::<Result<Vec<_>, _>>().map_err(CannotRun::start)?;
            if opened.is_empty() {
                opened = listener.open(n)?;
            }
            own.extend(opened.into_iter().map(|opened| (listener.addr, opened)));
        }
        Ok(own)
    }

    /// The workers, to feel whether they go around.
    pub(super) fn pulse(&self) -> Pulse {
        Pulse(self.groups.iter().flat_map(|group| &group.orders).cloned().collect())
    }

    /// Whether others may still be on the same ports.
    pub(super) fn is_shared(&self) -> bool {
        self.shared
    }

    /// The addresses whose sockets are this process's own, and those sockets.
    fn own_places(&self) -> Vec<Place<'_>> {
        let places = self.groups.iter().flat_map(|group| {
            let own = group.places.iter().filter(|place| !group.handed.contains(place));
            own.map(|&(addr, service)| {
                let all = group.sockets.iter().flatten();
                let here = all.filter(move |(at, opened)| *at == addr && opened.service == service);
                let sockets = here.map(|(_, opened)| opened).collect();
                Place { addr, sockets, reporter: self.desk.reporter() }
            })
        });
        places.collect()
    }

    /// Deals what comes by question, once nobody else is on the same ports.
    pub(super) fn settle(&mut self) {
        let places = self.own_places();
        if places.is_empty() {
            self.shared = false;
        } else if places.iter().all(Place::is_ours_alone) {
            places.iter().for_each(Place::deal);
            let text = "the ports are ours alone: equal questions meet in one worker";
            self.desk.reporter().line(Level::INFO, "ports_ours", text.into());
            self.shared = false;
        }
    }

    /// Whether another process shares the ports, and can take what comes.
    pub fn is_followed(&self) -> bool {
        self.own_places().iter().any(Place::is_shared)
    }

    /// Whether others can take all that comes: it need not be told to go elsewhere.
    pub fn is_replaced(&self) -> bool {
        let places = self.own_places();
        let handed = self.groups.iter().any(|group| !group.handed.is_empty());
        !handed && !places.is_empty() && places.iter().all(Place::is_shared)
    }

    /// Whether the ports may be shared at all.
    pub fn takes_over(&self) -> bool {
        self.entrance.take_over
    }

    /// Leaves the ports to who shares them, or to who holds them: what waits in
    /// the sockets is read or left in them, and connections are served until
    /// they pause. Dropped before its end, it is cut short.
    pub(super) async fn leave(&mut self) {
        self.roster.close();
        let handed = self.groups.iter().any(|group| !group.handed.is_empty());
        let (followed, alone): (Vec<_>, Vec<_>) =
            self.own_places().into_iter().partition(Place::is_shared);
        let most = if !followed.is_empty() {
            let text = "another process shares the ports: it gets what comes from now on";
            self.desk.reporter().line(Level::INFO, "ports_left", text.into());
            followed.iter().for_each(Place::turn_away);
            self.turn(leave::SETTLE).await;
            followed.iter().for_each(Place::begin_no_more);
            self.turn(leave::SETTLE).await;
            // Elsewhere clients wait until this process has ended.
            if handed || !alone.is_empty() { leave::MOST_HANDED } else { leave::MOST }
        } else if handed {
            leave::MOST_HANDED
        } else {
            return;
        };
        for group in &mut self.groups {
            group.sockets.clear();
            let _ = group.stage.send(Stage::Leave);
        }
        let end = tokio::time::Instant::now() + most;
        while self.limits.open() > 0 && tokio::time::Instant::now() < end {
            tokio::time::sleep(leave::POLL).await;
        }
    }

    /// Waits so long, and then until every worker has gone around once more.
    async fn turn(&self, time: Duration) {
        tokio::time::sleep(time).await;
        let silent = self.pulse().silent(leave::PATIENCE).await;
        if silent > 0 {
            let text = format!("{silent} workers do not answer: what waits for them may be lost");
            self.desk.reporter().line(Level::WARN, "workers_silent", text);
        }
    }

    /// Says from now on that it is not ready; everything else goes on.
    pub fn close(&self) {
        self.roster.close();
    }

    /// Stops listening, waits until the queries in flight are answered, and
    /// ends. Bounded by the deadline.
    pub fn stop(mut self) {
        self.close();
        for group in &mut self.groups {
            group.sockets.clear();
            let _ = group.stage.send(Stage::Stop);
        }
        for worker in self.groups.into_iter().chain(self.ending).flat_map(|group| group.workers) {
            let _ = worker.join();
        }
    }
}
