//! Whether the workers still go around: each is asked, and answers when its loop
//! comes to it. One that is stuck in a turn answers nothing.

use super::life::Order;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

/// One sign of life that is waited for.
pub type Beat = oneshot::Sender<()>;

/// The workers.
pub struct Pulse(pub Vec<mpsc::UnboundedSender<Order>>);

impl Pulse {
    /// How many of them give no sign of life within `patience`.
    pub async fn silent(&self, patience: Duration) -> usize {
        let end = Instant::now() + patience;
        let ask = |worker: &mpsc::UnboundedSender<Order>| {
            let (beat, felt) = oneshot::channel();
            // One that has ended drops it, and so gives no sign.
            let _ = worker.send(Order::Beat(beat));
            felt
        };
        // All are asked before any is waited for.
        let asked: Vec<_> = self.0.iter().map(ask).collect();
        let mut silent = 0;
        for felt in asked {
            if !matches!(timeout_at(end, felt).await, Ok(Ok(()))) {
                silent += 1;
            }
        }
        silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(50);

    #[tokio::test(flavor = "current_thread")]
    async fn a_worker_that_is_stuck_or_gone_gives_no_sign() {
        let (well, mut orders) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(order) = orders.recv().await {
                if let Order::Beat(beat) = order {
                    beat.send(()).unwrap();
                }
            }
        });
        let (stuck, _held) = mpsc::unbounded_channel();
        let (gone, ended) = mpsc::unbounded_channel();
        drop(ended);
        assert_eq!(Pulse(vec![well.clone(), well.clone()]).silent(PATIENCE).await, 0);
        assert_eq!(Pulse(vec![well.clone(), stuck]).silent(PATIENCE).await, 1);
        assert_eq!(Pulse(vec![gone, well]).silent(PATIENCE).await, 1);
        assert_eq!(Pulse(Vec::new()).silent(PATIENCE).await, 0);
    }
}
