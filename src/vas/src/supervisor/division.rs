//! Which shard has which camera, and which GPU. Pure.

use std::collections::HashMap;
use std::num::NonZeroU32;

use vas_frame::CameraId;

/// Divides `cameras` between `count` shards. A camera stays where it is in `now`; a new one goes to the shard
/// with the fewest, so that those that are all new are dealt out in turn.
pub(super) fn divide(
    cameras: &[CameraId],
    now: &HashMap<CameraId, usize>,
    count: usize,
) -> Vec<Vec<CameraId>> {
    let mut sizes = vec![0_usize; count];
    for camera in cameras {
        if let Some(&shard) = now.get(camera) {
            sizes[shard] += 1;
        }
    }
    let mut shards = vec![Vec::new(); count];
    for camera in cameras {
        let shard = now.get(camera).copied().unwrap_or_else(|| {
            let fewest = (0..count).min_by_key(|&shard| sizes[shard]).unwrap_or(0);
            sizes[fewest] += 1;
            fewest
        });
        shards[shard].push(camera.clone());
    }
    shards
}

/// For each shard, the GPU that it is confined to (`CUDA_VISIBLE_DEVICES`), if it is. `gpus` is how many the host
/// has, `visible` what that variable says already.
///
/// Shards whose number is given see all GPUs: whoever divides by hand has reasons of their own.
pub(super) fn shards(
    configured: Option<NonZeroU32>,
    gpus: usize,
    visible: Option<&str>,
) -> Vec<Option<String>> {
    if let Some(count) = configured {
        return vec![None; count.get() as usize];
    }
    let devices: Vec<String> = match visible {
        Some(list) => list.split(',').map(|device| device.trim().to_owned()).collect(),
        None => (0..gpus).map(|device| device.to_string()).collect(),
    };
    match devices.len() {
        0 | 1 => vec![None],
        _ if gpus == 0 => vec![None],
        _ => devices.into_iter().map(Some).collect(),
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
        let all = ids(&["a", "b", "c", "d", "e"]);
        let first = divide(&all, &HashMap::new(), 2);
        assert_eq!(first, [ids(&["a", "c", "e"]), ids(&["b", "d"])]);
        let mut now = HashMap::new();
        for (shard, cameras) in first.into_iter().enumerate() {
            now.extend(cameras.into_iter().map(|camera| (camera, shard)));
        }
        let next = divide(&ids(&["x", "e", "b", "y", "c"]), &now, 2);
        assert_eq!(next, [ids(&["e", "y", "c"]), ids(&["x", "b"])]);
        assert_eq!(divide(&ids(&["a"]), &now, 3), [ids(&["a"]), ids(&[]), ids(&[])]);
    }

    #[test]
    fn a_shard_for_each_gpu_unless_it_is_said_otherwise() {
        let some =
            |devices: &[&str]| devices.iter().map(|d| Some((*d).to_owned())).collect::<Vec<_>>();
        assert_eq!(shards(None, 0, None), [None]);
        assert_eq!(shards(None, 1, None), [None]);
        assert_eq!(shards(None, 3, None), some(&["0", "1", "2"]));
        assert_eq!(shards(None, 4, Some("2, 3")), some(&["2", "3"]));
        assert_eq!(shards(None, 4, Some("2")), [None]);
        assert_eq!(shards(None, 0, Some("0,1")), [None]);
        assert_eq!(shards(NonZeroU32::new(2), 4, None), [None, None]);
    }
}
