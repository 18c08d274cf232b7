//! Keeps panics of a plugin's code inside the plugin.
//!
//! A panic that reaches the boundary ends the host's process, so everything an
//! author writes is called through [`catch`] or polled and dropped through
//! [`Guarded`]. What the panic said comes from [`crate::panic_hook`].

use std::{
    any::Any,
    future::Future,
    mem::ManuallyDrop,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use crate::{
    Ctx, Error, Result,
    abi::{AbiError, AbiResult, abi_stable::std_types::RResult},
    error::code,
    panic_hook,
};

/// Runs `work`; a panic becomes an error with [`code::PANIC`], its message and its location.
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T> {
    let watch = panic_hook::Watch::begin();
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(value) => Ok(value),
        Err(payload) => Err(describe(payload, watch.location())),
    }
}

/// Runs a fallible `work` of the boundary.
pub(crate) fn catch_abi<T>(work: impl FnOnce() -> Result<T>) -> AbiResult<T> {
    into_abi(catch(work).and_then(|result| result))
}

/// Converts a result for the boundary.
pub(crate) fn into_abi<T>(result: Result<T>) -> AbiResult<T> {
    match result {
        Ok(value) => RResult::ROk(value),
        Err(error) => RResult::RErr(AbiError::from(error)),
    }
}

/// A future of the plugin's code as the host polls it: each poll and the drop run inside the
/// plugin's runtime and catch panics; dropped unfinished, it cancels its [`Ctx`].
pub(crate) struct Guarded<F> {
    ctx: Ctx,
    future: ManuallyDrop<F>,
    state: State,
}

#[derive(PartialEq)]
enum State {
    Running,
    Finished,
    Dropped,
}

impl<F, T> Guarded<F>
where
    F: Future<Output = Result<T>>,
{
    pub(crate) fn new(ctx: Ctx, future: F) -> Self {
        Self { ctx, future: ManuallyDrop::new(future), state: State::Running }
    }
}

impl<F> Guarded<F> {
    /// Drops the inner future in place, once.
    fn drop_future(&mut self) {
        if self.state == State::Dropped {
            return;
        }
        self.state = State::Dropped;
        // Dropping may spawn or close sockets, which needs the runtime if there is one.
        let _runtime = self.ctx.plugin().runtime().enter_if_started();
        // SAFETY: `state` was not `Dropped`, so the value is still there, and it is `Dropped`
        // from now on, so nobody touches it again. It is not moved before.
        let outcome = catch(|| unsafe { ManuallyDrop::drop(&mut self.future) });
        if let Err(error) = outcome {
            self.ctx.report_panic(&error);
        }
    }
}

impl<F, T> Future for Guarded<F>
where
    F: Future<Output = Result<T>>,
{
    type Output = AbiResult<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `future` is pinned structurally: it is never moved out, only dropped in place,
        // and `Guarded` is `Unpin` only if nothing here relies on it.
        let this = unsafe { self.get_unchecked_mut() };
        if this.state != State::Running {
            return Poll::Ready(RResult::RErr(Error::new("the call was polled after it had ended").into()));
        }
        let polled = catch(|| {
            let _runtime = this.ctx.plugin().runtime().enter()?;
            // SAFETY: see above; the future is pinned because `self` is.
            match unsafe { Pin::new_unchecked(&mut *this.future) }.poll(cx) {
                Poll::Pending => Ok(Poll::Pending),
                Poll::Ready(result) => result.map(Poll::Ready),
            }
        });
        let result = match polled {
            Ok(Ok(Poll::Pending)) => return Poll::Pending,
            Ok(Ok(Poll::Ready(value))) => Ok(value),
            Ok(Err(error)) => Err(error),
            Err(error) => {
                this.ctx.report_panic(&error);
                Err(error)
            }
        };
        this.state = State::Finished;
        Poll::Ready(into_abi(result))
    }
}

impl<F> Drop for Guarded<F> {
    fn drop(&mut self) {
        if self.state == State::Running {
            self.ctx.cancel();
        }
        self.drop_future();
    }
}

fn describe(payload: Box<dyn Any + Send>, location: Option<String>) -> Error {
    let mut message = if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "the panic carries no text".to_owned()
    };
    if let Some(location) = location {
        message.push_str(" at ");
        message.push_str(&location);
    }
    // A payload whose own drop panics would escape the guard. What it panics with is
    // leaked: dropping that could go on for ever.
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
    Error::with_code(code::PANIC, message)
}
