//! Which shard gets which camera, and which GPU. Pure.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::Path;

use vas_frame::CameraId;

/// Where a camera may decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decodes {
    /// On no GPU: nothing takes its frames, or its config rules it out.
    Elsewhere,
    AnyGpu,
    Gpu(usize),
}

/// Divides `cameras` between shards with these [preferred GPUs](preferred_gpus). A camera stays
/// where it is in `now`. A new one that names a GPU goes to the shard that prefers that GPU; one
/// that may decode on any, to the shard whose preferred GPU has the fewest such cameras, and among
/// equals, like all others, to the one with the fewest cameras.
pub(super) fn place(
    cameras: &[(CameraId, Decodes)],
    now: &HashMap<CameraId, usize>,
    preferred_gpus: &[Option<usize>],
) -> Vec<Vec<CameraId>> {
    let shard_preferring =
        |gpu: usize| preferred_gpus.iter().position(|preferred_gpu| *preferred_gpu == Some(gpu));
    let mut sizes = vec![0_usize; preferred_gpus.len()];
    // For each shard, how many cameras may decode on its preferred GPU.
    let mut loads = vec![0_usize; preferred_gpus.len()];
    let count = |decodes, shard: usize, sizes: &mut Vec<usize>, loads: &mut Vec<usize>| {
        sizes[shard] += 1;
        let loaded = match decodes {
            Decodes::Elsewhere => None,
            Decodes::AnyGpu => preferred_gpus[shard].map(|_| shard),
            Decodes::Gpu(gpu) => shard_preferring(gpu),
        };
        if let Some(loaded) = loaded {
            loads[loaded] += 1;
        }
    };
    for (camera, decodes) in cameras {
        if let Some(&shard) = now.get(camera) {
            count(*decodes, shard, &mut sizes, &mut loads);
        }
    }
    let mut shards = vec![Vec::new(); preferred_gpus.len()];
    for (camera, decodes) in cameras {
        let shard = now.get(camera).copied().unwrap_or_else(|| {
            let fewest = |by_load: bool| {
                let key = |&shard: &usize| (if by_load { loads[shard] } else { 0 }, sizes[shard]);
                (0..preferred_gpus.len()).min_by_key(key).unwrap_or(0)
            };
            let shard = match decodes {
                Decodes::Elsewhere => fewest(false),
                Decodes::AnyGpu => fewest(true),
                Decodes::Gpu(gpu) => shard_preferring(*gpu).unwrap_or_else(|| fewest(false)),
            };
            count(*decodes, shard, &mut sizes, &mut loads);
            shard
        });
        shards[shard].push(camera.clone());
    }
    shards
}

/// For each shard its preferred GPU, if any: its cameras get that one while it is usable, so that
/// each GPU has one context and not one for each shard. `gpus` is how many the host has, `visible`
/// the value of `CUDA_VISIBLE_DEVICES`, which renumbers them.
///
/// With a configured number of shards there is no preference: that number was chosen for other
/// reasons.
pub(super) fn preferred_gpus(
    configured: Option<NonZeroU32>,
    gpus: usize,
    visible: Option<&str>,
) -> Vec<Option<usize>> {
    if let Some(count) = configured {
        return vec![None; count.get() as usize];
    }
    match visible.map_or(gpus, |list| list.split(',').count().min(gpus)) {
        0 | 1 => vec![None],
        several => (0..several).map(Some).collect(),
    }
}

/// How many NVIDIA GPUs the host has, by the driver's folder in `/proc`. CUDA is not asked: that
/// would create a context with threads and memory.
pub(super) fn nvidia_gpus(driver: &Path) -> usize {
    std::fs::read_dir(driver.join("gpus")).map_or(0, |entries| entries.flatten().count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use Decodes::{AnyGpu, Elsewhere, Gpu};

    fn ids(names: &[&str]) -> Vec<CameraId> {
        names.iter().map(|name| CameraId::new(*name).unwrap()).collect()
    }

    fn each(names: &[&str], decodes: [Decodes; 5]) -> Vec<(CameraId, Decodes)> {
        ids(names).into_iter().zip(decodes).collect()
    }

    fn places(shards: Vec<Vec<CameraId>>) -> HashMap<CameraId, usize> {
        let each = shards.into_iter().enumerate();
        each.flat_map(|(shard, cameras)| cameras.into_iter().map(move |id| (id, shard))).collect()
    }

    #[test]
    fn new_cameras_are_distributed_and_old_ones_stay() {
        let auto = |names: &[&str]| each(names, [AnyGpu; 5]);
        let first = place(&auto(&["a", "b", "c", "d", "e"]), &HashMap::new(), &[None; 2]);
        assert_eq!(first, [ids(&["a", "c", "e"]), ids(&["b", "d"])]);
        let now = places(first);
        let next = place(&auto(&["x", "e", "b", "y", "c"]), &now, &[None; 2]);
        assert_eq!(next, [ids(&["e", "y", "c"]), ids(&["x", "b"])]);
        assert_eq!(place(&auto(&["a"]), &now, &[None; 3]), [ids(&["a"]), ids(&[]), ids(&[])]);
    }

    #[test]
    fn a_camera_that_names_a_gpu_goes_to_the_shard_that_prefers_it() {
        let named = [AnyGpu, Gpu(1), Gpu(1), Gpu(7), AnyGpu];
        let cameras = each(&["a", "b", "c", "d", "e"], named);
        let preferred_gpus = [Some(0), Some(1)];
        let divided = place(&cameras, &HashMap::new(), &preferred_gpus);
        assert_eq!(divided, [ids(&["a", "d", "e"]), ids(&["b", "c"])]);
    }

    #[test]
    fn only_cameras_that_may_decode_on_a_gpu_count_there() {
        let preferred_gpus = [Some(0), Some(1)];
        let mixed = [Elsewhere, AnyGpu, Elsewhere, AnyGpu, Elsewhere];
        let first =
            place(&each(&["a", "b", "c", "d", "e"], mixed), &HashMap::new(), &preferred_gpus);
        // One on each GPU, and as even a number of cameras as possible.
        assert_eq!(first, [ids(&["a", "c", "d"]), ids(&["b", "e"])]);
        // Existing cameras count as well, by where they decode and not by their shard.
        let now = places(first);
        let cameras = each(&["b", "d", "x", "y", "z"], [AnyGpu, Gpu(1), AnyGpu, AnyGpu, Elsewhere]);
        assert_eq!(
            place(&cameras, &now, &preferred_gpus),
            [ids(&["d", "x", "y"]), ids(&["b", "z"])]
        );
    }

    #[test]
    fn one_shard_per_gpu_unless_configured_otherwise() {
        assert_eq!(preferred_gpus(None, 0, None), [None]);
        assert_eq!(preferred_gpus(None, 1, None), [None]);
        assert_eq!(preferred_gpus(None, 3, None), [Some(0), Some(1), Some(2)]);
        assert_eq!(preferred_gpus(None, 4, Some("2, 3")), [Some(0), Some(1)]);
        assert_eq!(preferred_gpus(None, 4, Some("2")), [None]);
        assert_eq!(preferred_gpus(None, 0, Some("0,1")), [None]);
        assert_eq!(preferred_gpus(NonZeroU32::new(2), 4, None), [None, None]);
    }
}
