//! One camera's stream agent.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::string::String;
use core::fmt;

use vas_gate::{Limit, Stamp};

use crate::binding::FrameBinding;
use crate::id::{CameraId, ModelId};
use crate::refusal::Refusal;
use crate::state::AgentState;
use crate::subscription::Subscription;
use crate::verdict::{SkipReason, Verdict};

/// The one agent of a camera: a record of the models that want its frames, and the rules for which
/// of them get each frame.
///
/// It holds no frame, controls no pipeline and does nothing by itself: each method is an event, and its
/// effect depends on the agent alone (`docs/ref/agent-events.md`). A refused event leaves the agent
/// unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamAgent {
    camera_id: CameraId,
    state: AgentState,
    poison: Option<String>,
    binding: Option<FrameBinding>,
    subscriptions: BTreeMap<ModelId, Subscription>,
}

impl StreamAgent {
    pub(crate) fn new(camera_id: CameraId) -> Self {
        Self {
            camera_id,
            state: AgentState::Created,
            poison: None,
            binding: None,
            subscriptions: BTreeMap::new(),
        }
    }

    /// The agent's id, which is its camera's.
    #[must_use]
    pub fn stream_agent_id(&self) -> &CameraId {
        &self.camera_id
    }

    /// The camera's id.
    #[must_use]
    pub fn camera_id(&self) -> &CameraId {
        &self.camera_id
    }

    /// The agent's state.
    #[must_use]
    pub fn state(&self) -> AgentState {
        self.state
    }

    /// Why the agent is poisoned, if it is.
    #[must_use]
    pub fn poisoned(&self) -> Option<&str> {
        self.poison.as_deref()
    }

    /// The export that the agent describes to its models.
    #[must_use]
    pub fn binding(&self) -> Option<&FrameBinding> {
        self.binding.as_ref()
    }

    /// A model's subscription.
    #[must_use]
    pub fn subscription(&self, model: &ModelId) -> Option<&Subscription> {
        self.subscriptions.get(model)
    }

    /// All subscriptions, by model.
    pub fn subscriptions(&self) -> impl Iterator<Item = (&ModelId, &Subscription)> {
        self.subscriptions.iter()
    }

    /// Moves from Created to Running.
    ///
    /// # Errors
    /// [`Refusal::State`] in any other state, [`Refusal::AgentPoisoned`].
    pub fn start(&mut self) -> Result<(), Refusal> {
        self.refuse_poisoned()?;
        self.go(AgentState::Created, AgentState::Running, "start")
    }

    /// Moves from Running to Stopped, for good. This works on a poisoned agent too.
    ///
    /// # Errors
    /// [`Refusal::State`] in any other state.
    pub fn stop(&mut self) -> Result<(), Refusal> {
        self.go(AgentState::Running, AgentState::Stopped, "stop")
    }

    /// Describes the camera's export, or its next epoch.
    ///
    /// # Errors
    /// [`Refusal::OtherCamera`], [`Refusal::OldEpoch`] for an epoch that is not after the bound one,
    /// [`Refusal::State`] when Stopped, [`Refusal::AgentPoisoned`].
    pub fn bind(&mut self, binding: FrameBinding) -> Result<(), Refusal> {
        self.refuse_stopped("bind")?;
        if !binding.is_of(&self.camera_id) {
            return Err(Refusal::OtherCamera {
                camera: self.camera_id.clone(),
                path: binding.path,
            });
        }
        if let Some(bound) = &self.binding
            && binding.epoch <= bound.epoch
        {
            return Err(Refusal::OldEpoch {
                camera: self.camera_id.clone(),
                bound: bound.epoch,
                offered: binding.epoch,
            });
        }
        self.binding = Some(binding);
        Ok(())
    }

    /// Adds an active subscription for a model.
    ///
    /// # Errors
    /// [`Refusal::DuplicateSubscription`], [`Refusal::State`] when Stopped,
    /// [`Refusal::AgentPoisoned`].
    pub fn subscribe(&mut self, model: ModelId, limit: Limit) -> Result<(), Refusal> {
        self.refuse_stopped("subscribe")?;
        match self.subscriptions.entry(model) {
            Entry::Vacant(place) => {
                place.insert(Subscription::new(limit));
                Ok(())
            }
            Entry::Occupied(there) => Err(Refusal::DuplicateSubscription {
                camera: self.camera_id.clone(),
                model: there.key().clone(),
            }),
        }
    }

    /// Removes a model's subscription, in any state, and returns it.
    ///
    /// # Errors
    /// [`Refusal::UnknownSubscription`].
    pub fn unsubscribe(&mut self, model: &ModelId) -> Result<Subscription, Refusal> {
        self.subscriptions.remove(model).ok_or_else(|| unknown(&self.camera_id, model))
    }

    /// Switches a subscription on.
    ///
    /// # Errors
    /// [`Refusal::UnknownSubscription`], [`Refusal::SubscriptionPoisoned`], [`Refusal::State`] when
    /// Stopped, [`Refusal::AgentPoisoned`].
    pub fn activate(&mut self, model: &ModelId) -> Result<(), Refusal> {
        self.usable(model, "activate")?.set_active(true);
        Ok(())
    }

    /// Switches a subscription off; its record of dispatches stays.
    ///
    /// # Errors
    /// As [`activate`](Self::activate).
    pub fn deactivate(&mut self, model: &ModelId) -> Result<(), Refusal> {
        self.usable(model, "deactivate")?.set_active(false);
        Ok(())
    }

    /// Changes a maximum, effective from the next decision on.
    ///
    /// # Errors
    /// As [`activate`](Self::activate).
    pub fn set_limit(&mut self, model: &ModelId, limit: Limit) -> Result<(), Refusal> {
        self.usable(model, "set a limit")?.set_limit(limit);
        Ok(())
    }

    /// Poisons a subscription: from now on it allows nothing and can only be removed. A second reason
    /// does not replace the first.
    ///
    /// # Errors
    /// [`Refusal::UnknownSubscription`].
    pub fn poison_subscription(
        &mut self,
        model: &ModelId,
        why: impl Into<String>,
    ) -> Result<(), Refusal> {
        self.subscription_mut(model)?.set_poison(why.into());
        Ok(())
    }

    /// Poisons the agent: from now on it allows nothing and can only be stopped. Other agents are
    /// not affected. A second reason does not replace the first.
    pub fn poison(&mut self, why: impl Into<String>) {
        self.poison.get_or_insert(why.into());
    }

    /// Whether a model may have a frame, and why. Changes nothing.
    #[must_use]
    pub fn decide(&self, model: &ModelId, stamp: Stamp) -> Verdict {
        match (self.refuses_all(stamp), self.subscriptions.get(model)) {
            (Some(why), _) => Verdict::Skip(why),
            (None, None) => Verdict::Skip(SkipReason::NotSubscribed),
            (None, Some(subscription)) => subscription.decide(stamp),
        }
    }

    /// [`decide`](Self::decide) for each subscription, by model.
    pub fn decide_each(&self, stamp: Stamp) -> impl Iterator<Item = (&ModelId, Verdict)> {
        let all = self.refuses_all(stamp).map(Verdict::Skip);
        self.subscriptions.iter().map(move |(model, subscription)| {
            (model, all.unwrap_or_else(|| subscription.decide(stamp)))
        })
    }

    /// Records that a frame was dispatched to a model: later decisions count from it.
    ///
    /// # Errors
    /// [`Refusal::UnknownSubscription`], [`Refusal::SubscriptionPoisoned`], [`Refusal::State`] unless
    /// Running, [`Refusal::AgentPoisoned`].
    pub fn record_dispatch(&mut self, model: &ModelId, stamp: Stamp) -> Result<(), Refusal> {
        const EVENT: &str = "record a dispatch";
        if self.state == AgentState::Created {
            self.refuse_poisoned()?;
            return Err(self.wrong_state(EVENT));
        }
        self.usable(model, EVENT)?.record_dispatch(stamp);
        Ok(())
    }

    /// Why no subscription of this agent may have this frame.
    fn refuses_all(&self, stamp: Stamp) -> Option<SkipReason> {
        if self.poison.is_some() {
            return Some(SkipReason::AgentPoisoned);
        }
        if self.state != AgentState::Running {
            return Some(SkipReason::NotRunning);
        }
        match &self.binding {
            None => Some(SkipReason::NotBound),
            Some(binding) if binding.epoch != stamp.epoch => Some(SkipReason::OtherEpoch),
            Some(_) => None,
        }
    }

    fn go(&mut self, from: AgentState, to: AgentState, event: &'static str) -> Result<(), Refusal> {
        if self.state != from {
            return Err(self.wrong_state(event));
        }
        self.state = to;
        Ok(())
    }

    fn refuse_poisoned(&self) -> Result<(), Refusal> {
        match &self.poison {
            Some(why) => {
                Err(Refusal::AgentPoisoned { camera: self.camera_id.clone(), why: why.clone() })
            }
            None => Ok(()),
        }
    }

    fn refuse_stopped(&self, event: &'static str) -> Result<(), Refusal> {
        self.refuse_poisoned()?;
        match self.state {
            AgentState::Stopped => Err(self.wrong_state(event)),
            AgentState::Created | AgentState::Running => Ok(()),
        }
    }

    /// The subscription, for an event that changes it.
    fn usable(
        &mut self,
        model: &ModelId,
        event: &'static str,
    ) -> Result<&mut Subscription, Refusal> {
        self.refuse_stopped(event)?;
        if let Some(why) = self.subscriptions.get(model).and_then(Subscription::poison) {
            return Err(Refusal::SubscriptionPoisoned {
                camera: self.camera_id.clone(),
                model: model.clone(),
                why: why.into(),
            });
        }
        self.subscription_mut(model)
    }

    fn subscription_mut(&mut self, model: &ModelId) -> Result<&mut Subscription, Refusal> {
        self.subscriptions.get_mut(model).ok_or_else(|| unknown(&self.camera_id, model))
    }

    fn wrong_state(&self, event: &'static str) -> Refusal {
        Refusal::State { camera: self.camera_id.clone(), state: self.state, event }
    }
}

fn unknown(camera: &CameraId, model: &ModelId) -> Refusal {
    Refusal::UnknownSubscription { camera: camera.clone(), model: model.clone() }
}

impl fmt::Display for AgentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
