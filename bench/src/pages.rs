//! The same camera on small pages and on huge ones.

use std::time::Duration;

use rustix::thread::disable_transparent_huge_pages;
use vas_frame::nv12::StoreKind;

use crate::{Pictures, Rig, own_cpu_time};

/// Pictures that a decoder keeps.
pub const DECODER_POOL: usize = 8;

/// Malloc then asks for huge pages, which [`huge_pages`] can refuse.
pub const HUGE_MALLOC: &str = "glibc.malloc.hugetlb=1";

/// The size of the pages that back something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// 4 KiB.
    Small,
    /// 2 MiB.
    Huge,
}

/// Which pages memory gets that this process, or a child started now, touches from now on. What is backed already
/// stays as it is.
pub fn huge_pages(pages: Pages) {
    disable_transparent_huge_pages(pages == Pages::Small)
        .expect("a process may do without huge pages");
}

/// A ring and a decoder's pictures, of each size of pages.
#[derive(Debug)]
pub struct PagedCamera {
    rings: [Rig; 2],
    pictures: [Pictures; 2],
}

impl PagedCamera {
    /// A camera of this size. The process has [`HUGE_MALLOC`].
    #[must_use]
    pub fn new((width, height): (u32, u32)) -> Self {
        let geometry = Rig::geometry(width, height);
        let both = |pages| {
            huge_pages(pages);
            (Rig::new(geometry), Pictures::new(geometry, DECODER_POOL))
        };
        let (small, huge) = (both(Pages::Small), both(Pages::Huge));
        Self { rings: [small.0, huge.0], pictures: [small.1, huge.1] }
    }

    /// Its ring on these pages.
    #[must_use]
    pub fn ring(&self, pages: Pages) -> &Rig {
        &self.rings[pages as usize]
    }

    /// Decodes a picture, writes it into the next slot and publishes it. Returns the processor time of claim and write.
    pub fn write(&mut self, ring: Pages, pictures: Pages, store: StoreKind) -> Duration {
        let pictures = &mut self.pictures[pictures as usize];
        pictures.decode_next();
        let ring = &mut self.rings[ring as usize];
        let start = own_cpu_time();
        let mut slot = ring.claim();
        slot.write(&pictures.picture(), store).expect("the picture is of the slot's size");
        let took = own_cpu_time() - start;
        let meta = ring.meta();
        slot.publish(&meta);
        took
    }
}
