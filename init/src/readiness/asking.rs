//! Repeats the questions that no watch answers: whether the API server is ready, and each [`Question`] once it is
//! wanted.

use std::time::Duration;

use kubake_contract::error_chain::chain;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::news::News;
use super::probes::{self, Probes};
use super::question::Question;
use super::retry::Retry;
use crate::api::Client;

/// Time between questions to the API server once it is ready.
const API_INTERVAL: Duration = Duration::from_secs(5);
/// Time between other questions after a good answer.
const QUESTION_INTERVAL: Duration = Duration::from_secs(10);

pub(super) async fn ask_api(client: &Client, sender: &mpsc::Sender<News>) {
    let client = client.clone().with_timeout(probes::PATIENCE);
    let mut retry = Retry::new();
    loop {
        let answer = client.get_text("/readyz").await.map(drop).map_err(|error| chain(&error));
        let wait = if answer.is_ok() { retry.reset_to(API_INTERVAL) } else { retry.next() };
        if sender.send(News::Api(answer)).await.is_err() {
            return;
        }
        sleep(wait).await;
    }
}

pub(super) async fn ask_again(
    question: Question,
    probes: &Probes,
    mut wanted: watch::Receiver<bool>,
    sender: mpsc::Sender<News>,
) {
    let mut retry = Retry::new();
    loop {
        if wanted.wait_for(|wanted| *wanted).await.is_err() {
            return;
        }
        let answer = probes.ask(question, retry.attempts).await;
        let wait = if answer.is_ok() { retry.reset_to(QUESTION_INTERVAL) } else { retry.next() };
        // An answer to a question that is no longer wanted belongs to the time before a gap.
        let is_wanted = *wanted.borrow_and_update();
        if is_wanted && sender.send(News::Answer(question, answer)).await.is_err() {
            return;
        }
        // After a gap the next answer is wanted at once, not at the end of the interval.
        tokio::select! {
            () = sleep(wait) => {}
            changed = wanted.changed() => if changed.is_err() { return },
        }
    }
}
