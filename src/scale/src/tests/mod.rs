mod document;
mod equality;
mod fit;
mod quality;
mod rig;
