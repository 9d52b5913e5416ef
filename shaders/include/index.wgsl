// One index from a grid that may be two-dimensional: a dimension holds at most 65535 workgroups.
fn linear_index(id: vec3<u32>, groups: vec3<u32>, workgroup: u32) -> u32 {
    return id.x + id.y * groups.x * workgroup;
}
