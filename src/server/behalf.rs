//! Requests that a trusted proxy passes on: each is run as its client's, not the proxy's (promise R8).
//!
//! The connections of a proxy are those of many clients, in turn. The client that the proxy names for a request has the
//! same turns at the processors, and the same part in reading and decoding, as if it had connected itself: while its
//! request is answered, and whenever the proxy takes more of the answer.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use handlers::storage::Party;
use http::Response;
use http_body::{Body, Frame, SizeHint};

use super::{
    addresses::{Place, Share},
    turns::{InTurn, Seat},
};

/// The answer that `answer` makes, run as one of those whose `place` it is; as it comes when it is nobody's.
pub(super) async fn on_behalf<B>(
    place: Option<Place>,
    answer: impl Future<Output = Response<B>>,
) -> Response<OnBehalf<B>> {
    let share = place.as_ref().and_then(|place| place.share.clone());
    let (Some(place), Some(Share { turns, party })) = (place, share) else {
        return answer.await.map(|inner| OnBehalf { inner, visit: None });
    };
    let seat = Seat::new(turns.clone());
    let response = InTurn::new(turns, party.clone().run(answer)).await;
    let visit = Box::new(Visit { seat, party, _place: place });
    response.map(|inner| OnBehalf { inner, visit: Some(visit) })
}

/// A body that is made in the turns of its client.
#[derive(Debug)]
pub(super) struct OnBehalf<B> {
    inner: B,
    visit: Option<Box<Visit>>,
}

/// What a client has while its answer is sent.
#[derive(Debug)]
struct Visit {
    seat: Seat,
    party: Party,
    _place: Place,
}

impl<B: Body + Unpin> Body for OnBehalf<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let Self { inner, visit } = &mut *self;
        let mut next = |context: &mut Context<'_>| Pin::new(&mut *inner).poll_frame(context);
        match visit {
            None => next(context),
            Some(visit) => visit.seat.poll(context, |context| visit.party.within(|| next(context))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, task::Waker};

    use bytes::Bytes;
    use http_body_util::Full;

    use super::*;
    use crate::{config::Config, server::addresses::Addresses};

    #[tokio::test]
    async fn clients_of_a_proxy_have_their_own_turns() {
        let config = Config { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..Config::default() };
        let all = Arc::new(Addresses::default());
        let visit = |address: [u8; 4]| all.visit(&config, address.into());
        // Ten requests of one, of which each would have a turn; and one of another.
        let mut many = Vec::new();
        for _ in 0..10 {
            let answer = async { Response::new(Full::new(Bytes::from_static(b"x"))) };
            many.push(on_behalf(visit([192, 0, 2, 1]), answer).await.into_body());
        }
        let one = on_behalf(visit([192, 0, 2, 2]), async { Response::new(Full::new(Bytes::new())) }).await;
        let share = visit([192, 0, 2, 1]).unwrap().share.clone().unwrap();
        // All turns of the first are had by what is ready and was not run yet.
        let held: Vec<_> = std::iter::from_fn(|| share.turns.take()).collect();
        assert!(!held.is_empty());
        let mut context = Context::from_waker(Waker::noop());
        for body in &mut many {
            assert!(Pin::new(body).poll_frame(&mut context).is_pending());
        }
        let mut one = one.into_body();
        assert!(Pin::new(&mut one).poll_frame(&mut context).is_ready());
        drop(held);
        for body in &mut many {
            assert!(Pin::new(body).poll_frame(&mut context).is_ready());
        }
        drop((many, one));
        // The proxy's own, and what it does not say whose it is, are not held back.
        assert!(visit([10, 0, 0, 1]).is_none());
    }
}
