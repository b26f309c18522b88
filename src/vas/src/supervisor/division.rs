//! Which shard has which camera, and which GPU. Pure.

use std::collections::HashMap;
use std::num::NonZeroU32;

use vas_frame::CameraId;

/// Divides `cameras`, each with the GPU that its config names, between shards with these [homes]. A camera stays
/// where it is in `now`; a new one goes to the shard that is at home on its GPU, otherwise to the one with the
/// fewest, so that those that are all new are dealt out in turn.
///
/// [homes]: homes
pub(super) fn divide(
    cameras: &[(CameraId, Option<usize>)],
    now: &HashMap<CameraId, usize>,
    homes: &[Option<usize>],
) -> Vec<Vec<CameraId>> {
    let mut sizes = vec![0_usize; homes.len()];
    for (camera, _) in cameras {
        if let Some(&shard) = now.get(camera) {
            sizes[shard] += 1;
        }
    }
    let mut shards = vec![Vec::new(); homes.len()];
    for (camera, gpu) in cameras {
        let shard = now.get(camera).copied().unwrap_or_else(|| {
            let at_home = gpu.and_then(|_| homes.iter().position(|home| home == gpu));
            let fewest = || (0..homes.len()).min_by_key(|&shard| sizes[shard]).unwrap_or(0);
            let shard = at_home.unwrap_or_else(fewest);
            sizes[shard] += 1;
            shard
        });
        shards[shard].push(camera.clone());
    }
    shards
}

/// For each shard, the GPU that it is at home on, if it is: the one that its cameras are given while that is
/// well, so that each GPU has one context and not one for each shard. `gpus` is how many the host has,
/// `visible` what `CUDA_VISIBLE_DEVICES` says, which renumbers them.
///
/// Shards whose number is given have no home: whoever divides by hand has reasons of their own.
pub(super) fn homes(
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

/// How many NVIDIA GPUs the host has, by what its driver says: CUDA is not asked, since whoever does has a
/// context with threads and memory from then on.
pub(super) fn nvidia_gpus() -> usize {
    std::fs::read_dir("/proc/driver/nvidia/gpus").map_or(0, |entries| entries.flatten().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(names: &[&str]) -> Vec<CameraId> {
        names.iter().map(|name| CameraId::new(*name).unwrap()).collect()
    }

    #[test]
    fn new_cameras_are_dealt_out_and_old_ones_stay() {
        let auto = |names: &[&str]| ids(names).into_iter().map(|id| (id, None)).collect::<Vec<_>>();
        let first = divide(&auto(&["a", "b", "c", "d", "e"]), &HashMap::new(), &[None; 2]);
        assert_eq!(first, [ids(&["a", "c", "e"]), ids(&["b", "d"])]);
        let mut now = HashMap::new();
        for (shard, cameras) in first.into_iter().enumerate() {
            now.extend(cameras.into_iter().map(|camera| (camera, shard)));
        }
        let next = divide(&auto(&["x", "e", "b", "y", "c"]), &now, &[None; 2]);
        assert_eq!(next, [ids(&["e", "y", "c"]), ids(&["x", "b"])]);
        assert_eq!(divide(&auto(&["a"]), &now, &[None; 3]), [ids(&["a"]), ids(&[]), ids(&[])]);
    }

    #[test]
    fn a_camera_that_names_a_gpu_goes_to_the_shard_at_home_there() {
        let gpus = [None, Some(1), Some(1), Some(7), None];
        let cameras: Vec<_> = ids(&["a", "b", "c", "d", "e"]).into_iter().zip(gpus).collect();
        let homes = [Some(0), Some(1)];
        let divided = divide(&cameras, &HashMap::new(), &homes);
        assert_eq!(divided, [ids(&["a", "d", "e"]), ids(&["b", "c"])]);
    }

    #[test]
    fn a_shard_for_each_gpu_unless_it_is_said_otherwise() {
        assert_eq!(homes(None, 0, None), [None]);
        assert_eq!(homes(None, 1, None), [None]);
        assert_eq!(homes(None, 3, None), [Some(0), Some(1), Some(2)]);
        assert_eq!(homes(None, 4, Some("2, 3")), [Some(0), Some(1)]);
        assert_eq!(homes(None, 4, Some("2")), [None]);
        assert_eq!(homes(None, 0, Some("0,1")), [None]);
        assert_eq!(homes(NonZeroU32::new(2), 4, None), [None, None]);
    }
}
