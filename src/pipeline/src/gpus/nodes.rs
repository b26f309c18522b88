//! The render nodes of this host: looked up when a camera may decode through VA-API, shared by all that do.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vas_config::GpuChoice;
use vas_media::{GpuError, RenderNode, VaapiError, render_nodes};

use super::table::Table;

/// All render nodes, and the cameras on them.
#[derive(Debug, Default)]
pub(crate) struct Nodes(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    nodes: Vec<RenderNode>,
    /// By position in `nodes`; `None` while no node was found.
    table: Option<Table>,
    /// What the log says already: a node in words, and what is wrong with it.
    said: BTreeSet<(String, String)>,
}

/// Counts a camera on a node as long as this lives.
#[derive(Debug)]
pub(crate) struct NodeAssignment {
    nodes: Arc<Nodes>,
    at: usize,
    node: RenderNode,
}

/// The right of one camera to retry a node: no other may as long as this lives.
#[derive(Debug)]
pub(crate) struct NodeTurn {
    nodes: Arc<Nodes>,
    at: usize,
}

impl Nodes {
    /// Assigns a node to a camera, which has tried `refused` already.
    ///
    /// # Errors
    /// Why none can be assigned.
    pub(crate) fn assign(
        self: &Arc<Self>,
        choice: GpuChoice,
        refused: &[usize],
        now_ns: u64,
    ) -> Result<NodeAssignment, GpuError> {
        let mut known = self.lock();
        let at = known.choose(choice, refused, now_ns)?;
        let node = known.nodes[at].clone();
        known.change(|table| table.add(at));
        Ok(NodeAssignment { nodes: Arc::clone(self), at, node })
    }

    /// The turn to retry the node that [`assign`](Self::assign) would assign; `None` while another camera has it.
    ///
    /// # Errors
    /// Why there is no such node.
    pub(crate) fn turn(
        self: &Arc<Self>,
        choice: GpuChoice,
        now_ns: u64,
    ) -> Result<Option<NodeTurn>, GpuError> {
        let mut known = self.lock();
        let at = known.choose(choice, &[], now_ns)?;
        let taken = known.table.as_mut().is_some_and(|table| table.take_turn(at));
        Ok(taken.then(|| NodeTurn { nodes: Arc::clone(self), at }))
    }

    /// Whether these words about a node are not in the log yet.
    pub(crate) fn is_news(&self, node: &str, words: &str) -> bool {
        self.lock().said.insert((node.to_owned(), words.to_owned()))
    }

    /// Nodes of these drivers, renderD128 and on.
    #[cfg(test)]
    pub(crate) fn simulated(drivers: &[&str]) -> Arc<Self> {
        let node = |(minor, driver): (u32, &&str)| RenderNode {
            minor,
            path: format!("/dev/dri/renderD{minor}").into(),
            vendor: None,
            driver: Some((*driver).into()),
            address: None,
        };
        let nodes: Vec<_> = (128..).zip(drivers).map(node).collect();
        let table = Some(Table::new(nodes.len(), None));
        Arc::new(Self(Mutex::new(Known { nodes, table, said: BTreeSet::new() })))
    }

    #[cfg(test)]
    pub(super) fn cameras(&self) -> Vec<u32> {
        self.lock().table.as_ref().map(Table::cameras).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn choose(
        &mut self,
        choice: GpuChoice,
        refused: &[usize],
        now_ns: u64,
    ) -> Result<usize, GpuError> {
        if self.table.is_none() {
            self.nodes = render_nodes();
            self.table = (!self.nodes.is_empty()).then(|| Table::new(self.nodes.len(), None));
        }
        let Some(table) = &self.table else { return Err(VaapiError::NoNode.into()) };
        let is_nvidias = |at: &usize| self.nodes[*at].is_nvidias();
        let (choice, refused) = match choice {
            GpuChoice::Auto => {
                let nvidias = (0..self.nodes.len()).filter(is_nvidias);
                (choice, refused.iter().copied().chain(nvidias).collect())
            }
            GpuChoice::Number(at) if at < self.nodes.len() => (choice, refused.to_vec()),
            GpuChoice::Number(at) => return Err(self.none_like(format!("render node number {at}"))),
            GpuChoice::Node(minor) => {
                let at = self.nodes.iter().position(|node| node.minor == minor);
                let at = at.ok_or_else(|| self.none_like(format!("/dev/dri/renderD{minor}")))?;
                (GpuChoice::Number(at), refused.to_vec())
            }
        };
        table.choose(choice, &refused, now_ns).map_err(|why| match why {
            // The table speaks of NVIDIA's driver. All nodes are NVIDIA's, or have refused this camera.
            GpuError::NoDevice { .. } => VaapiError::NoNode.into(),
            why => why,
        })
    }

    fn none_like(&self, asked: String) -> GpuError {
        let seen = self.nodes.iter().map(ToString::to_string).collect();
        VaapiError::NoSuchNode { asked, seen }.into()
    }

    fn change(&mut self, change: impl FnOnce(&mut Table)) {
        if let Some(table) = &mut self.table {
            change(table);
        }
    }
}

impl NodeAssignment {
    pub(crate) fn node(&self) -> &RenderNode {
        &self.node
    }

    /// Its position, for [`Nodes::assign`].
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The node is unusable for now.
    pub(crate) fn failed(&self, why: &GpuError, now_ns: u64) {
        self.nodes.lock().change(|table| table.failed(self.at, why, now_ns));
    }

    /// The node decodes.
    pub(crate) fn works(&self) {
        let node = self.node.to_string();
        let mut known = self.nodes.lock();
        known.said.retain(|(of, _)| *of != node);
        known.change(|table| table.works(self.at));
    }
}

impl Drop for NodeAssignment {
    fn drop(&mut self) {
        self.nodes.lock().change(|table| table.remove(self.at));
    }
}

impl Drop for NodeTurn {
    fn drop(&mut self) {
        self.nodes.lock().change(|table| table.give_turn_back(self.at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes() -> Arc<Nodes> {
        Nodes::simulated(&["nvidia", "i915", "amdgpu"])
    }

    #[test]
    fn cameras_are_dealt_by_count_and_not_to_nvidia() {
        let nodes = nodes();
        let assigned = [(); 3].map(|()| nodes.assign(GpuChoice::Auto, &[], 0).unwrap());
        assert_eq!(assigned.each_ref().map(|one| one.node().minor), [129, 130, 129]);
        drop(assigned);
        let named = nodes.assign(GpuChoice::Node(130), &[], 0).unwrap();
        assert_eq!((named.node().minor, named.at()), (130, 2));
        assert_eq!(nodes.assign(GpuChoice::Number(0), &[], 0).unwrap().node().minor, 128);
        assert_eq!(nodes.assign(GpuChoice::Auto, &[1], 0).unwrap().node().minor, 130);
        let none = nodes.assign(GpuChoice::Auto, &[1, 2], 0).unwrap_err();
        assert_eq!(none, GpuError::Vaapi(VaapiError::NoNode));
    }

    #[test]
    fn a_node_that_is_not_there_is_reported_with_those_that_are() {
        for choice in [GpuChoice::Node(140), GpuChoice::Number(3)] {
            let words = nodes().assign(choice, &[], 0).unwrap_err().to_string();
            assert!(
                words.contains("this process sees renderD128 (nvidia), renderD129 (i915)"),
                "{words}"
            );
        }
    }

    #[test]
    fn a_lost_node_is_left_alone_for_a_while() {
        let nodes = nodes();
        let lost = GpuError::from(VaapiError::Lost { node: "x".into(), cause: "y".into() });
        let assigned = nodes.assign(GpuChoice::Auto, &[], 0).unwrap();
        assigned.failed(&lost, 0);
        assert_eq!(nodes.assign(GpuChoice::Auto, &[], 1).unwrap().node().minor, 130);
        assert_eq!(nodes.assign(GpuChoice::Node(129), &[], 1).unwrap_err(), lost);
        assert!(nodes.turn(GpuChoice::Node(129), 5_000_000_000).unwrap().is_some());
    }

    #[test]
    fn a_node_that_decodes_is_news_again_and_the_others_are_not() {
        let nodes = nodes();
        let assigned = nodes.assign(GpuChoice::Node(129), &[], 0).unwrap();
        let words = |minor| {
            let node =
                nodes.lock().nodes.iter().find(|node| node.minor == minor).unwrap().to_string();
            VaapiError::NoDriver { node, cause: "x".into() }
        };
        let (of_i915, of_amdgpu) = (words(129), words(130));
        let is_news = |error: &VaapiError| match error {
            VaapiError::NoDriver { node, .. } => nodes.is_news(node, &error.to_string()),
            _ => unreachable!(),
        };
        assert!(is_news(&of_i915) && is_news(&of_amdgpu) && !is_news(&of_i915));
        assigned.works();
        assert_eq!((is_news(&of_i915), is_news(&of_amdgpu)), (true, false));
    }
}
